package secured

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace"
	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/local/localtest"
)

// right is one ACL that a command of the document makes.
type right struct {
	user, operation, kind, name string // as in the command; the name has the prefix of the site
	prefixed                    bool
}

// String says the right as a role does that lacks it.
func (r right) String() string {
	on := strings.ReplaceAll(r.kind, "-", " ")
	operation := strings.ToUpper(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(r.operation, "${1}_$2"))
	if r.prefixed {
		return operation + " on the " + on + "s that begin with " + r.name
	}
	return operation + " on " + on + " " + r.name
}

// documented reads the commands of the operator's document that grant rights to a user.
func documented(t *testing.T, s *e2etest.Site, user string) (list []right) {
	t.Helper()
	d, _ := millrace.FindDocument("operations")
	text := strings.ReplaceAll(d.Text(), " \\\n", " ")
	for _, line := range regexp.MustCompile(`(?m)^ *kafka-acls\.sh .*$`).FindAllString(text, -1) {
		words := strings.Fields(line)
		r := right{}
		for i := 1; i < len(words); i++ {
			value := ""
			if i+1 < len(words) && !strings.HasPrefix(words[i+1], "--") {
				value = words[i+1]
			}
			switch flag := words[i]; flag {
			case "--bootstrap-server", "--add":
			case "--allow-principal":
				r.user = strings.TrimPrefix(value, "User:")
			case "--operation":
				r.operation = value
			case "--resource-pattern-type":
				r.prefixed = value == "prefixed"
			case "--topic", "--group", "--transactional-id", "--cluster":
				r.kind, r.name = strings.TrimPrefix(flag, "--"), s.Prefix+strings.TrimPrefix(value, event.DefaultPrefix)
				if r.user == user {
					list = append(list, r)
				}
			default:
				if !strings.HasPrefix(words[i-1], "--") {
					t.Fatalf("word %q of %s is not known", flag, line)
				}
			}
		}
	}
	if len(list) == 0 {
		t.Fatalf("the document grants user %s nothing", user)
	}
	return list
}

// environment makes a user with rights, and returns the environment of its commands.
func environment(t *testing.T, s *e2etest.Site, rights []right) e2etest.Environment {
	t.Helper()
	cluster := localtest.ApacheKafka(t)
	user := s.Prefix + rights[0].user + strings.ToLower(t.Name()[len(t.Name())-4:]) + randomName()
	password := cluster.AddUser(t, user)
	grant(t, s, user, rights)
	env := slices.DeleteFunc(slices.Clone(s.Env), func(v string) bool { return strings.HasPrefix(v, "KAFKA_BROKERS=") })
	return append(env, "KAFKA_BROKERS="+strings.Join(cluster.Secured(), ","),
		"KAFKA_TRANSACTIONAL_ID_PREFIX="+s.Prefix, "KAFKA_TLS_ENABLED=true", "KAFKA_TLS_CA_FILE="+cluster.Authority(),
		"KAFKA_SASL_MECHANISM=SCRAM-SHA-512", "KAFKA_SASL_USER="+user, "KAFKA_SASL_PASSWORD="+password)
}

func grant(t *testing.T, s *e2etest.Site, user string, rights []right) {
	t.Helper()
	client := e2etest.KafkaClient(t, s.Kafka)
	for _, r := range rights {
		b := kadm.NewACLs().Allow("User:" + user).AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral)
		if r.prefixed {
			b.ResourcePatternType(kadm.ACLPatternPrefixed)
		}
		switch r.kind {
		case "topic":
			b.Topics(r.name)
		case "group":
			b.Groups(r.name)
		case "transactional-id":
			b.TransactionalIDs(r.name)
		case "cluster":
			b.Clusters()
		}
		operation, err := kmsg.ParseACLOperation(r.operation)
		if err != nil {
			t.Fatal(err)
		}
		results, err := kadm.NewClient(client).CreateACLs(t.Context(), b.Operations(operation))
		if err != nil {
			t.Fatal(err)
		}
		for _, result := range results {
			if result.Err != nil {
				t.Fatalf("grant %s: %v", r, result.Err)
			}
		}
	}
	waitGranted(t, client, user, len(rights))
}

// waitGranted waits until every broker knows the rights of a user.
func waitGranted(t *testing.T, client *kgo.Client, user string, rights int) {
	t.Helper()
	req := kmsg.NewPtrDescribeACLsRequest()
	principal := "User:" + user
	req.Principal, req.ResourceType, req.ResourcePatternType = &principal, kmsg.ACLResourceTypeAny,
		kmsg.ACLResourcePatternTypeAny
	req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	for broker := range localtest.Brokers {
		e2etest.Eventually(t, 30e9, func() string {
			resp, err := client.Broker(broker).RetriableRequest(t.Context(), req)
			if err != nil {
				return err.Error()
			}
			known := 0
			for _, resource := range resp.(*kmsg.DescribeACLsResponse).Resources {
				known += len(resource.ACLs)
			}
			if known < rights {
				return "a broker does not know all rights yet"
			}
			return ""
		})
	}
}
