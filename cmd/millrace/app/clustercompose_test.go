package app_test

import (
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// clusterConfig is what docker-compose.cluster.yml configures of ClickHouse.
type clusterConfig struct {
	Macros struct {
		Shard   fromEnv `xml:"shard"`
		Replica fromEnv `xml:"replica"`
	} `xml:"macros"`
	Shards []struct {
		Internal string `xml:"internal_replication"`
		Replicas []struct {
			Host string `xml:"host"`
			Port int    `xml:"port"`
		} `xml:"replica"`
	} `xml:"remote_servers>millrace>shard"`
	Keepers []struct {
		Host string `xml:"host"`
		Port int    `xml:"port"`
	} `xml:"zookeeper>node"`
}

type fromEnv struct {
	Name string `xml:"from_env,attr"`
}

// keeperConfig is what it configures of the Keepers.
type keeperConfig struct {
	Port    int     `xml:"keeper_server>tcp_port"`
	ID      fromEnv `xml:"keeper_server>server_id"`
	Servers []struct {
		ID       string `xml:"id"`
		Hostname string `xml:"hostname"`
	} `xml:"keeper_server>raft_configuration>server"`
}

// written returns the document that job cluster-setup writes to a file.
func written(t *testing.T, setup *types.ServiceConfig, file string, to any) {
	t.Helper()
	_, rest, found := strings.Cut(strings.Join(setup.Command, "\n"), "cat > "+file+" <<END\n")
	document, _, ended := strings.Cut(rest, "\nEND")
	if !found || !ended {
		t.Fatalf("job cluster-setup does not write %s", file)
	}
	if err := xml.Unmarshal([]byte(document), to); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func variable(s *types.ServiceConfig, name string) string {
	if value := s.Environment[name]; value != nil {
		return *value
	}
	return ""
}

// The servers that the cluster names are services, and each is the shard and the replica that it is named as.
func TestTheClusterOfComposeIsOfItsServices(t *testing.T) {
	t.Parallel()
	project := composeFile(t, composeName, clusterName)
	setup := project.Services["cluster-setup"]
	var cluster clusterConfig
	written(t, &setup, "/clickhouse/cluster.xml", &cluster)
	var hosts []string
	for i, shard := range cluster.Shards {
		if len(shard.Replicas) != 2 || shard.Internal != "true" {
			t.Errorf("shard %d: %+v", i+1, shard)
		}
		for j, replica := range shard.Replicas {
			s, ok := project.Services[replica.Host]
			got := []string{variable(&s, cluster.Macros.Shard.Name), variable(&s, cluster.Macros.Replica.Name)}
			want := []string{fmt.Sprint(i + 1), fmt.Sprint(j + 1)}
			if !ok || s.Hostname != replica.Host || replica.Port != 9000 || !slices.Equal(got, want) {
				t.Errorf("replica %s: host name %q, port %d, shard and replica %v, want %v", replica.Host, s.Hostname, replica.Port,
					got, want)
			}
			hosts = append(hosts, replica.Host+":9000")
		}
	}
	told := "servers=" + strings.Join(hosts, ",") + "\n"
	if len(cluster.Shards) != 2 || !strings.Contains(strings.Join(setup.Command, "\n"), told) {
		t.Errorf("%d shards; Millrace is not told of %v", len(cluster.Shards), hosts)
	}
	var keeper keeperConfig
	written(t, &setup, "/keeper/keeper.xml", &keeper)
	if len(keeper.Servers) != 3 || len(cluster.Keepers) != 3 {
		t.Fatalf("%d Keepers, of which servers know %d", len(keeper.Servers), len(cluster.Keepers))
	}
	for i, server := range keeper.Servers {
		s := project.Services[server.Hostname]
		if s.Hostname != server.Hostname || variable(&s, keeper.ID.Name) != server.ID ||
			cluster.Keepers[i].Host != server.Hostname || cluster.Keepers[i].Port != keeper.Port {
			t.Errorf("keeper %+v: service %q, known as %+v", server, s.Hostname, cluster.Keepers[i])
		}
	}
	checkBrokers(t, project)
	checkVolumes(t, project)
}

// checkBrokers checks that every role knows all brokers, and each broker the others.
func checkBrokers(t *testing.T, project *types.Project) {
	t.Helper()
	var brokers, voters []string
	for _, name := range []string{"kafka", "kafka-2", "kafka-3"} {
		s := project.Services[name]
		brokers = append(brokers, name+":9092")
		voters = append(voters, variable(&s, "KAFKA_NODE_ID")+"@"+name+":9093")
		if !strings.HasPrefix(variable(&s, "KAFKA_ADVERTISED_LISTENERS"), "NETWORK://"+name+":9092,") {
			t.Errorf("%s: %s", name, variable(&s, "KAFKA_ADVERTISED_LISTENERS"))
		}
	}
	for _, name := range []string{"kafka", "kafka-2", "kafka-3"} {
		s := project.Services[name]
		if got := variable(&s, "KAFKA_CONTROLLER_QUORUM_VOTERS"); got != strings.Join(voters, ",") {
			t.Errorf("%s: voters %s, want %v", name, got, voters)
		}
	}
	for _, name := range []string{"topics", "migrate", "ingest", "export", "serve", "sample"} {
		s := project.Services[name]
		if variable(&s, "MILLRACE_KAFKA_BROKERS") != strings.Join(brokers, ",") ||
			variable(&s, "MILLRACE_CLICKHOUSE_CLUSTER") != "millrace" || variable(&s, "MILLRACE_BUCKET_URL") == "" {
			t.Errorf("%s: %v", name, s.Environment)
		}
	}
}

// checkVolumes checks that no two servers keep their data in the same place, nor listen on the same port.
func checkVolumes(t *testing.T, project *types.Project) {
	t.Helper()
	of := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(project.Services)) {
		s := project.Services[name]
		for _, v := range s.Volumes {
			if v.Target != "/var/lib/clickhouse" && v.Target != "/var/lib/kafka/data" {
				continue
			}
			if of[v.Source] != "" {
				t.Errorf("%s and %s have the same volume %s", of[v.Source], name, v.Source)
			}
			of[v.Source] = name
		}
		for _, port := range s.Ports {
			if of[port.Published] != "" {
				t.Errorf("%s and %s have the same port %s", of[port.Published], name, port.Published)
			}
			of[port.Published] = name
		}
	}
	if len(of) < 4+3+3 {
		t.Errorf("only %d volumes and ports: %v", len(of), of)
	}
}
