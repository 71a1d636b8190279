"""Until when artifacts are kept: expiry files, what people decided, and the rules that join them."""
