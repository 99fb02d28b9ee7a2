//! stub
#![allow(missing_docs, clippy::todo, unused)]
use crate::model::NodeKey; use crate::wire::Message; use bytes::Bytes; use std::net::SocketAddr; use std::time::Duration;
#[derive(Clone, Debug)] pub struct Endpoint;
impl Endpoint { pub fn serve(_: SocketAddr, _: &syncd_certs::Identity, _: Duration) -> Result<Self, LinkError> { todo!() } pub fn dial_only(_: &syncd_certs::Identity, _: Duration) -> Result<Self, LinkError> { todo!() } pub fn local_addr(&self) -> Result<SocketAddr, LinkError> { todo!() } pub async fn dial(&self, h: &str, p: u16) -> Result<Link, LinkError> { todo!() } pub async fn accept(&mut self) -> Option<Link> { todo!() } }
#[derive(Clone, Debug)] pub struct Link;
impl Link { pub async fn open_stream(&self) -> Result<(FrameWriter, FrameReader), LinkError> { todo!() } pub async fn accept_stream(&self) -> Result<(FrameWriter, FrameReader), LinkError> { todo!() } pub fn node_key(&self) -> NodeKey { todo!() } pub fn exporter(&self) -> [u8;32] { todo!() } pub fn remote_address(&self) -> SocketAddr { todo!() } pub fn close(&self, _: &str) {} pub fn authorised(&self) {} pub fn closed_cause(&self) -> String { todo!() } }
#[derive(Debug)] pub struct FrameWriter; 
impl FrameWriter { pub async fn write(&mut self, m: &Message) -> Result<(), LinkError> { todo!() } pub async fn write_raw(&mut self, m: Bytes) -> Result<(), LinkError> { todo!() } pub fn finish(&mut self) -> Result<(), LinkError> { todo!() } }
#[derive(Debug)] pub struct FrameReader;
impl FrameReader { pub async fn read(&mut self) -> Result<Option<Message>, LinkError> { todo!() } pub fn limit(&mut self, f: usize, b: usize) {} pub fn unlimit(&mut self) {} }
#[derive(Debug, thiserror::Error)] pub enum LinkError { #[error("x")] Silent, #[error("x")] Protocol(&'static str) }
impl LinkError { pub fn kind(&self) -> String { todo!() } pub fn is_hostile(&self) -> bool { todo!() } }
