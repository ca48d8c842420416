package ingest_test

import (
	"flag"
	"testing"
)

// Tests here wait most of their time, for services that do not answer and members of groups that leave,
// so more of them run at a time than there are processors. A flag -parallel overrides it.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	m.Run()
}
