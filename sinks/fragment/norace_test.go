//go:build !race

package fragment

const raced = false
