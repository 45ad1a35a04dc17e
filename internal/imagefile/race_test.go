//go:build race

package imagefile_test

// memoryFactor is how much more the race detector allocates: it keeps more values on the heap.
const memoryFactor = 4
