//go:build race

package fragment

// raced is true under the race detector. The largest tests take minutes there and find nothing,
// since one goroutine uses an encoder.
const raced = true
