package services

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/local"
)

func TestAPortThatIsInUseIsReportedWithItsVariable(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	_, kafka := local.NewKafka(local.KafkaConfig{Ephemeral: true, Port: port})
	_, native := local.NewClickHouse(local.ClickHouseConfig{Dir: t.TempDir(), NativePort: port})
	_, http := local.NewClickHouse(local.ClickHouseConfig{Dir: t.TempDir(), HTTPPort: port})
	for variable, err := range map[string]error{
		"MILLRACE_LOCAL_KAFKA_PORT": kafka, "MILLRACE_LOCAL_CLICKHOUSE_PORT": native,
		"MILLRACE_LOCAL_CLICKHOUSE_HTTP_PORT": http,
	} {
		if err := explainPort(err); err == nil || !strings.HasPrefix(err.Error(), variable+": ") {
			t.Errorf("%v, want an error that begins with %s", err, variable)
		}
	}
}

func TestAMissingLibraryIsReportedWithItsVariable(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/given/libchdb.so"} {
		err := explainLibrary(local.ErrNoLibrary, path)
		if !errors.Is(err, local.ErrNoLibrary) || !strings.Contains(err.Error(), "MILLRACE_LIBCHDB") {
			t.Errorf("path %q: %v", path, err)
		}
	}
}
