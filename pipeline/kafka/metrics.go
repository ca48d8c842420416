package kafka

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Register registers a collector and returns it, or the collector of its name that the registry
// has: a consumer that is started again in one process goes on counting. With a nil registry, the
// collector is not registered.
func Register[C prometheus.Collector](registry prometheus.Registerer, c C) C {
	if registry == nil {
		return c
	}
	var registered prometheus.AlreadyRegisteredError
	err := registry.Register(c)
	if errors.As(err, &registered) {
		return registered.ExistingCollector.(C)
	}
	if err != nil {
		panic(err) // the names are constants
	}
	return c
}
