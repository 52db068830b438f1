//! The page as a whole, asked as a browser asks.

mod attention;
mod hostile;
mod links;
mod said;
pub(crate) mod seeded;
mod sign_in;
mod tenants;
