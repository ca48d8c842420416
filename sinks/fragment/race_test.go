//go:build race

package fragment

// raced says that the race detector is on, under which the largest tests take minutes and find nothing: an
// encoder is for one goroutine.
const raced = true
