// Package doctor has the tests of `millrace doctor`: on a deployment that is well, and on such as are broken in
// one way each.
package doctor

import (
	"os"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

func TestMain(m *testing.M) { os.Exit(e2etest.Main(m)) }
