//! The AMI: its steps on a Debian's disk, what refuses a bad image, and the hardened disk as a node that boots.

mod dangers;
mod image;
mod node;
mod scripts;
mod steps;
