package localtest

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Kafka returns a fresh in-memory Kafka for the test, closed when the test
// ends: one broker, on a free port (ListenAddrs), without topics unless
// opts ask for some ([kfake.SeedTopics]). The cluster's ControlKey and Fault
// inject errors.
func Kafka(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}
