package memory

// LimitOf is exported for tests.
var LimitOf = limitOf
