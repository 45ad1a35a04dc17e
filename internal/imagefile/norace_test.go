//go:build !race

package imagefile_test

// memoryFactor is how much more than its bound a test may allocate.
const memoryFactor = 1
