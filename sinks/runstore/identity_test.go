package runstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/runs"
)

// snapshot returns a snapshot of run "r" with this key, whose version follows from at and status.
func snapshot(source, app string, day int, at time.Duration, status string) *runs.Run {
	run := leastRun("r")
	run.Source, run.AppID, run.StartedAt = source, app, start.AddDate(0, 0, day)
	run.UpdatedAt, run.Status = start.Add(at), status
	run.Question = fmt.Sprint(source, " ", app, " ", day, " ", at, " ", status)
	return run
}

func TestARunIsOneRunWhateverItsSortKey(t *testing.T) {
	t.Parallel()
	const us = time.Microsecond
	d := newDatabase(t)
	s := d.store(t, d.server.NativeAddr)
	var again []func()
	first := snapshot("recipe", "a", 0, 0, "running")
	for name, c := range map[string]struct {
		snapshots []*runs.Run
		newest    int
	}{
		"another start":          {[]*runs.Run{first, snapshot("recipe", "a", 1, us, "running")}, 1},
		"a start in other month": {[]*runs.Run{first, snapshot("recipe", "a", 40, us, "running")}, 1},
		"another app":            {[]*runs.Run{first, snapshot("recipe", "b", 0, us, "running")}, 1},
		"another source":         {[]*runs.Run{first, snapshot("copilot", "a", 0, us, "running")}, 1},
		"back at the old start":  {[]*runs.Run{first, snapshot("recipe", "a", 1, us, "running"), snapshot("recipe", "a", 0, 2*us, "failed")}, 2},
		"an old one late":        {[]*runs.Run{snapshot("recipe", "a", 1, us, "running"), first}, 0},
		"final at the same time": {[]*runs.Run{first, snapshot("recipe", "a", -1, 0, "failed")}, 1},
		"as new, greater key":    {[]*runs.Run{first, snapshot("recipe", "b", 0, 0, "running")}, 1},
		"as new, three of them":  {[]*runs.Run{snapshot("recipe", "c", 0, 0, "running"), first, snapshot("recipe", "b", 9, 0, "running")}, 0},
		"back and forth": {[]*runs.Run{first, snapshot("copilot", "a", 0, 2*us, "running"),
			snapshot("recipe", "a", 0, 4*us, "running"), snapshot("copilot", "a", 0, 6*us, "running"),
			snapshot("recipe", "a", 0, 5*us, "running")}, 3},
	} {
		check := func(what string) {
			if got, want := d.one(t, "SELECT arrayStringConcat(groupArray(question), ', ') FROM runs_latest WHERE run_id = '"+
				name+"'"), c.snapshots[c.newest].Question; got != want {
				t.Errorf("%s, %s: %q, want %q", name, what, got, want)
			}
		}
		insert := func(batch ...*runs.Run) {
			for i := range batch {
				one := *batch[i]
				one.RunID, batch[i] = name, &one
			}
			refused, err := s.InsertRuns(t.Context(), batch)
			wantAll(t, refused, err)
		}
		for _, one := range c.snapshots {
			insert(one)
		}
		check("one by one")
		for _, one := range slices.Backward(c.snapshots) {
			insert(one)
		}
		check("and backwards")
		insert(slices.Clone(c.snapshots)...)
		check("and all together")
		again = append(again, func() {
			check("merged")
			insert(c.snapshots[0])
			check("and the first again")
		})
	}
	d.query(t, "OPTIMIZE TABLE runs FINAL")
	d.query(t, "OPTIMIZE TABLE run_keys FINAL")
	for _, f := range again {
		f()
	}
}

func TestARefusedSnapshotHidesNothing(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.query(t, "ALTER TABLE runs ADD CONSTRAINT poisoned CHECK question != 'poison'")
	s := d.store(t, d.server.NativeAddr)
	good, poison := snapshot("recipe", "a", 0, 0, "running"), snapshot("recipe", "b", 0, time.Second, "running")
	poison.Question = "poison"
	refused, err := s.InsertRuns(t.Context(), []*runs.Run{good, poison})
	if got := indexes(t, refused); err != nil || !slices.Equal(got, []int{1}) {
		t.Fatalf("refused %v, %v", got, err)
	}
	if got := d.one(t, "SELECT groupArray(question) FROM runs_latest"); got != fmt.Sprint([]string{good.Question}) {
		t.Errorf("%s, want the snapshot before", got)
	}
}

// A row that hides others is not written again with every snapshot: a producer that uses one id for all its
// runs must not make the table grow by the square of their number.
func TestHiddenRowsStayHiddenWithoutMoreRows(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	s := d.store(t, d.server.NativeAddr)
	for i := range 20 {
		refused, err := s.InsertRuns(t.Context(), []*runs.Run{snapshot("recipe", "a", i, time.Duration(i)*time.Second,
			"running")})
		wantAll(t, refused, err)
	}
	if got := d.one(t, "SELECT countIf(superseded) FROM runs"); got != "19" {
		t.Errorf("%s rows hide others, want one for each of 19 superseded snapshots", got)
	}
}

// Two processes store snapshots of the same identities, in any order, some of them several times. Each of
// them may be stopped at any moment, and then stores the batch again. Readers then see what a map by identity
// says, also when ClickHouse has merged the rows, and when some snapshots come once more after that.
func TestTwoProcessesThatAreStoppedAtAnyMomentLeaveTheNewestOfEachIdentity(t *testing.T) {
	t.Parallel()
	duration, sizes := 10*time.Second, []int{10, 100}
	switch {
	case os.Getenv("MILLRACE_TEST_SOAK") == "true":
		duration, sizes = 20*time.Minute, []int{10, 100, 1000, 20_000}
	case testing.Short():
		duration = 0
	}
	d := newDatabase(t)
	// Few identities meet in every insert, many make inserts large.
	for began, round := time.Now(), 0; round < len(sizes) || time.Since(began) < duration; round++ {
		identities, seed := sizes[round%len(sizes)], rand.Uint64()
		if !t.Run(fmt.Sprintf("%d identities by seed %d", identities, seed), func(t *testing.T) {
			leaveTheNewest(t, d, identities, seed)
		}) {
			return
		}
	}
}

// leaveTheNewest is one round of the test above. It begins with empty tables, and has a workspace of its own,
// because ClickHouse may still run a statement of a process that was stopped.
func leaveTheNewest(t *testing.T, d database, identities int, seed uint64) {
	tables := []string{"runs", "nodes", "run_keys", "node_keys"}
	for _, table := range tables {
		d.query(t, "TRUNCATE TABLE "+table)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	workspace := fmt.Sprint("w", seed)
	snapshots, want := randomSnapshots(random, workspace, identities)
	check := func(when string) {
		t.Helper()
		inWorkspace := " WHERE workspace_id = '" + workspace + "'"
		got := d.texts(t, "SELECT concat(run_id, source, app_id, toString(started_at), status, question) FROM runs_latest"+
			inWorkspace)
		got = append(got, d.texts(t, "SELECT concat(run_id, node_run_id, source, app_id, node_id, toString(started_at), "+
			"status, node_name) FROM nodes_latest"+inWorkspace)...)
		slices.Sort(got)
		if slices.Equal(got, want) {
			return
		}
		isIn := func(list []string) func(string) bool {
			return func(text string) bool { _, found := slices.BinarySearch(list, text); return found }
		}
		t.Fatalf("%s, readers see %d rows, want %d; too many are %q, missing %q", when, len(got), len(want),
			slices.DeleteFunc(slices.Clone(got), isIn(want)), slices.DeleteFunc(slices.Clone(want), isIn(got)))
	}

	var both sync.WaitGroup
	for process := range 2 {
		random := rand.New(rand.NewPCG(seed, uint64(process+1)))
		mine := snapshots[process*len(snapshots)/2 : (process+1)*len(snapshots)/2]
		both.Go(func() {
			for len(mine) > 0 {
				n := min(len(mine), 1+random.IntN(1+len(snapshots)/5))
				storeUntilDone(t, d, random, mine[:n])
				mine = mine[n:]
			}
		})
	}
	both.Wait()
	check("after the last insert")
	for _, table := range tables {
		d.query(t, "OPTIMIZE TABLE "+table+" FINAL")
	}
	check("merged")
	storeUntilDone(t, d, random, snapshots[random.IntN(len(snapshots)):])
	check("after some came again")
}

// randomSnapshots returns snapshots of runs and node runs that move, in any order, some of them twice, and
// what readers see of the newest, in order.
func randomSnapshots(random *rand.Rand, workspace string, identities int) (snapshots []any, want []string) {
	const layout = "2006-01-02 15:04:05.000"
	type identity struct{ run, node string }
	newestRuns, newestNodes := map[string]*runs.Run{}, map[identity]*runs.Node{}
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	for i := range identities {
		id := fmt.Sprintf("run-%d", i/2)
		for at := range 1 + random.IntN(6) {
			day, updated := start.AddDate(0, 0, 20*random.IntN(3)), start.Add(time.Duration(at)*time.Millisecond)
			status := pick("running", "failed")
			var one any
			if i%2 == 0 {
				run := leastRun(id)
				run.WorkspaceID, run.Source, run.AppID = workspace, pick("recipe", "copilot"), pick("a", "b")
				run.StartedAt, run.UpdatedAt, run.Status = day, updated, status
				run.Question = fmt.Sprint(at)
				one, newestRuns[id] = run, run
			} else {
				node := leastNode(pick("x", "y"))
				node.WorkspaceID = workspace
				node.RunID, node.Source, node.AppID, node.NodeID = id, pick("recipe", "copilot"), pick("a", "b"), pick("n", "m")
				node.StartedAt, node.UpdatedAt, node.Status = day, updated, status
				node.NodeName = fmt.Sprint(at)
				one, newestNodes[identity{id, node.NodeRunID}] = node, node
			}
			snapshots = append(snapshots, one)
			if random.IntN(3) == 0 {
				snapshots = append(snapshots, one)
			}
		}
	}
	random.Shuffle(len(snapshots), func(i, j int) { snapshots[i], snapshots[j] = snapshots[j], snapshots[i] })
	for _, r := range newestRuns {
		want = append(want, r.RunID+r.Source+r.AppID+r.StartedAt.Format(layout)+r.Status+r.Question)
	}
	for _, n := range newestNodes {
		want = append(want, n.RunID+n.NodeRunID+n.Source+n.AppID+n.NodeID+n.StartedAt.Format(layout)+n.Status+n.NodeName)
	}
	slices.Sort(want)
	return snapshots, want
}

// texts returns the texts that a query selects.
func (d database) texts(t *testing.T, query string) (list []string) {
	t.Helper()
	for _, row := range d.query(t, query) {
		for _, v := range row {
			list = append(list, v.(string))
		}
	}
	return list
}

// storeUntilDone stores a batch as a process does that is stopped and started again, a few times at most.
func storeUntilDone(t *testing.T, d database, random *rand.Rand, batch []any) {
	var ofRuns []*runs.Run
	var ofNodes []*runs.Node
	for _, one := range batch {
		switch one := one.(type) {
		case *runs.Run:
			ofRuns = append(ofRuns, one)
		case *runs.Node:
			ofNodes = append(ofNodes, one)
		}
	}
	for try := 0; ; try++ {
		s := d.store(t, d.server.NativeAddr)
		ctx, stop := context.WithCancel(t.Context())
		if try < 3 && random.IntN(2) == 0 {
			time.AfterFunc(time.Duration(random.IntN(40))*time.Millisecond, stop)
		}
		_, err := s.InsertRuns(ctx, ofRuns)
		if err == nil {
			_, err = s.InsertNodes(ctx, ofNodes)
		}
		stopped := ctx.Err() != nil
		stop()
		if err == nil {
			return
		}
		if !stopped {
			t.Errorf("store %d snapshots: %v", len(batch), err)
			return
		}
	}
}
