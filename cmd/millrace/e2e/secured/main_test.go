// Package secured has the tests of who may do what in Kafka: users with passwords, over TLS, with the
// rights that the operator's document grants. They need Apache Kafka, see `make test-kafka`.
package secured

import (
	"os"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

func TestMain(m *testing.M) { os.Exit(e2etest.Main(m)) }
