mod against_a_list;
mod chi_square;
mod cost;
mod counter;
mod errors;
