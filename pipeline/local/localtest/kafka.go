package localtest

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Kafka returns a new in-memory Kafka for the test: one broker on a free port (ListenAddrs),
// without topics unless opts create some ([kfake.SeedTopics]). It is closed when the test ends. The
// cluster's ControlKey and Fault inject errors.
func Kafka(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}
