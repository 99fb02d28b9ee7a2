//! stub
#![allow(missing_docs, clippy::todo, unused)]
use crate::model::*; use crate::fs::Root;
#[derive(Debug, Clone)] pub struct Applier; #[derive(Debug)] pub struct Staging; #[derive(Debug)] pub struct Outcome { pub failed: Vec<(RelPath, String)>, pub drift: Vec<RelPath>, pub deletions_held: u64 }
#[derive(Debug, Clone, Copy)] pub enum Deletions { Always, Guarded, Never }
#[derive(Debug, Clone)] pub struct Policy { pub attrs: Attrs, pub privileged: bool, pub numeric_ids: bool, pub deletions: Deletions }
impl Policy { pub fn of_this_thread(a: Attrs) -> std::io::Result<Self> { todo!() } }
#[derive(Debug, thiserror::Error)] pub enum ApplyError { #[error("x")] ContentNeeded(Vec<RelPath>), #[error("x")] Local{}, #[error("x")] Durability{}, #[error("x")] Protocol{}, #[error("x")] OwnDir{} }
#[derive(Debug)] pub struct Recovered; impl Recovered { pub fn changed(&self)->bool{todo!()} } impl std::fmt::Display for Recovered { fn fmt(&self,f:&mut std::fmt::Formatter<'_>)->std::fmt::Result{todo!()} }
impl Applier { pub fn open(r: Root, p: Policy) -> Result<Self, ApplyError> { todo!() } pub fn root(&self) -> &Root { todo!() } pub fn recover(&self, m: &mut Manifest) -> Result<Recovered, ApplyError> { todo!() } pub fn begin(&self, a: Attrs, u: &[(u32, String)], g: &[(u32, String)]) -> Result<Staging, ApplyError> { todo!() } }
#[derive(Debug)] pub struct StagedFile;
impl StagedFile { pub fn data(&mut self, b: &[u8]) -> Result<(), ApplyError> { todo!() } pub fn hole(&mut self, l: u64) -> Result<(), ApplyError> { todo!() } pub fn copy(&mut self, o: u64, l: u64) -> Result<(), ApplyError> { todo!() } pub fn end(self, h: Digest, e: Entry) -> Result<(), ApplyError> { todo!() } pub fn abort(self) {} }
impl Staging { pub fn stage_ops(&self, o: Vec<Op>) -> Result<(), ApplyError> { todo!() } pub fn open_file(&self, m: &Manifest, n: u32, b: Option<Digest>) -> Result<StagedFile, ApplyError> { todo!() } pub fn commit(&self, m: &mut Manifest, a: bool) -> Result<Outcome, ApplyError> { todo!() } pub fn discard(&self) {} }
