mod earning;
mod leaving;
mod registering;
mod voting;
