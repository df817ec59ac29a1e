"""The two layers above a cloud's stack: one program each for all clouds, made of the contract that it promises."""
