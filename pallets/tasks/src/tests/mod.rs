mod deadlines;
mod drawing;
mod posting;
mod results;
