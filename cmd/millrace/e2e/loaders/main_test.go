package loaders

import (
	"os"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

func TestMain(m *testing.M) { os.Exit(e2etest.Main(m)) }

// object is a JSON object, with numbers as they are written.
type object = e2etest.Object
