package record

import (
	"testing"

	"github.com/google/uuid"
)

func TestRecordIDsAreUUIDv5OfTheRunAndThePurpose(t *testing.T) {
	t.Parallel()
	namespace := uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/millrace/millrace"))
	if namespace != idNamespace {
		t.Fatalf("namespace %s, want %s", uuid.UUID(idNamespace), namespace)
	}
	ids := NewIDs("node_evaluation", "canonical")
	for _, test := range []struct{ workspace, run, nodeRun string }{
		{"acme", "0192f0c1-7b7e-7000-8000-000000000001", ""},
		{"acme", "r", "n"},
		{"a-very-long-workspace-name", "run:with.all~the-signs_",
			"and-a-node-run-that-is-long-too-so-that-the-name-takes-three-blocks"},
	} {
		want := uuid.NewSHA1(namespace, []byte(test.workspace+"/"+test.run+"/"+test.nodeRun+"/node_evaluation/canonical"))
		got := string(ids.Append(nil, &Row{WorkspaceID: []byte(test.workspace), RunID: []byte(test.run),
			Node: &Node{NodeRunID: []byte(test.nodeRun)}}))
		if got != `"`+want.String()+`"` {
			t.Errorf("%v: %s, want %s", test, got, want)
		}
	}
}
