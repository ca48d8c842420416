package metrics

import (
	"os"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

func TestMain(m *testing.M) { os.Exit(e2etest.Main(m)) }
