//go:build !race

package event_test

// memoryFactor is how much more than its bound a test may allocate.
const memoryFactor = 1
