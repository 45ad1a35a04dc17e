//go:build race

package event_test

// memoryFactor is how much more the race detector allocates: its pools drop what they hold at random.
const memoryFactor = 8
