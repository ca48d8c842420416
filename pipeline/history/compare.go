package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/budget"
)

// MaxCompared is how many runs of an app a comparison reads, the newest.
const MaxCompared = 100_000

// comparedBytes is what a run takes in memory while it is compared.
const comparedBytes = 256

// CompareQuery selects the runs of an app that are compared by their versions.
type CompareQuery struct {
	Workspace     string
	Source, AppID string
	From, To      time.Time // of started_at, half-open
	Base          string    // the version that others are compared with; "": the one before Version
	Version       string    // the version whose pairs are listed; "": the one that began last
	Outcome       string    // of the listed pairs
	Offset, Limit int       // of the listed pairs
	NodeRuns      bool      // whether nodes are compared
}

// Outcomes of a version on an input, against the base. Scores decide where both runs have one, else
// ratings where both have one.
const (
	Better   = "better"
	Worse    = "worse"
	Same     = "same"
	Unjudged = "unjudged" // they have neither two scores nor two ratings
)

// Comparison compares the versions of an app on the inputs that they share. The newest run of a
// version on an input stands for it. Runs that have not ended, and those without a version, are left
// out.
type Comparison struct {
	Since     *time.Time      // where older runs are left out, since there are over MaxCompared: the start of the first
	Inputs    int64           // that two or more versions share
	Versions  []VersionResult // of these inputs, the one that began last first
	Base      string
	Version   string
	Total     int64        // pairs of Version and Base with the outcome
	Pairs     []Pair       // those from Offset on
	Nodes     []NodeResult // of Base and Version, each by the order in which it runs
	NodePairs int64        // how many pairs Nodes covers, the newest
}

// VersionResult is how a version did on the inputs that it shares with the base; for the base, on the
// inputs that it shares with any other.
type VersionResult struct {
	Version  string
	Began    time.Time // the start of its first run of these
	Inputs   int64
	Better   int64
	Worse    int64
	Same     int64
	Unjudged int64

	Failed, ThumbsUp, ThumbsDown int64

	Score, LatencyMS, CostUSD, Tokens *Spread
}

// Spread is how values are distributed. Each quantile is one of the values.
type Spread struct {
	Count                  int64
	Mean                   float64
	P5, P25, P50, P75, P95 float64
	Least, Most            float64
}

// Pair is the runs of two versions on one input.
type Pair struct {
	Base, Version Run
	Outcome       string
}

// Compare compares the versions of an app. The app may have none that share an input: then Versions
// is empty. What the runs take in memory it takes from the [budget.Budget.Scope] of ctx.
func (s *Store) Compare(ctx context.Context, q CompareQuery) (c *Comparison, err error) {
	err = s.match(ctx, &q, func(ctx context.Context, r *reading, m *match) error {
		c = &Comparison{Since: m.since, Inputs: int64(len(m.inputs)), Base: m.base, Version: m.version,
			Versions: m.results()}
		pairs := m.pairs(q.Outcome)
		c.Total = int64(len(pairs))
		first := min(max(q.Offset, 0), len(pairs))
		listed := pairs[first:min(len(pairs), first+max(q.Limit, 0))]
		both, ctx := errgroup.WithContext(ctx)
		both.Go(func() (err error) { c.Pairs, err = r.fork().pairs(ctx, &q, listed); return err })
		if q.NodeRuns {
			both.Go(func() (err error) { c.Nodes, c.NodePairs, err = r.fork().compareNodes(ctx, &q, m); return err })
		}
		return both.Wait()
	})
	return c, err
}

// PairRuns returns the ids of the runs of all pairs that [Store.Compare] lists, up to so many pairs.
func (s *Store) PairRuns(ctx context.Context, q CompareQuery, limit int) (ids []string, err error) {
	err = s.match(ctx, &q, func(_ context.Context, _ *reading, m *match) error {
		for i, p := range m.pairs(q.Outcome) {
			if i < limit {
				ids = append(ids, p.base.run, p.version.run)
			}
		}
		return nil
	})
	return ids, err
}

// match reads the inputs that versions share, and calls use with them.
func (s *Store) match(ctx context.Context, q *CompareQuery,
	use func(ctx context.Context, r *reading, m *match) error) error {
	leave, err := s.searches.Enter(ctx, q.Workspace)
	if err != nil {
		return err
	}
	defer leave()
	r := s.read(q.Workspace, readCompare)
	m, err := r.match(ctx, q, s.maxCompared)
	if err == nil {
		err = use(ctx, r, m)
	}
	if err != nil {
		return fmt.Errorf("compare the versions of app %s of workspace %s: %w", q.AppID, q.Workspace, err)
	}
	return nil
}

func (r *reading) match(ctx context.Context, q *CompareQuery, most int64) (*match, error) {
	page := Query{From: q.From, To: q.To}
	from, to := page.bounds()
	inApp := r.app(q.Source, q.AppID)
	cut, runs, err := r.newestOf(ctx, inApp, from, to, most)
	if err != nil || runs == 0 {
		return &match{}, err
	}
	if err := budget.Hold(ctx, runs*comparedBytes); err != nil {
		return nil, err
	}
	m := &match{base: q.Base, version: q.Version}
	if cut > from {
		from = cut
		since := time.UnixMilli(cut).UTC()
		m.since = &since
	}
	if m.inputs, err = r.sharedInputs(ctx, inApp, from, to); err == nil && len(m.inputs) > 0 {
		m.choose()
	}
	return m, err
}

// pairs reads the runs of pairs as a list has them. It leaves out a pair of which a run was deleted
// meanwhile.
func (r *reading) pairs(ctx context.Context, q *CompareQuery, pairs []inputPair) ([]Pair, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	keys := make([]key, 0, 2*len(pairs))
	for _, p := range pairs {
		for _, x := range []*judged{p.base, p.version} {
			keys = append(keys, key{x.started, x.run, q.Source, q.AppID})
		}
	}
	list, err := r.rows(ctx, keys)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]Run, len(list))
	for _, run := range list {
		byID[run.RunID] = run
	}
	found := make([]Pair, 0, len(pairs))
	for _, p := range pairs {
		base, ok := byID[p.base.run]
		version, also := byID[p.version.run]
		if ok && also {
			found = append(found, Pair{base, version, p.outcome})
		}
	}
	return found, nil
}

// newSpread returns the spread of values, or nil where there are none. It sorts them.
func newSpread(values []float64) *Spread {
	n := len(values)
	if n == 0 {
		return nil
	}
	slices.SortFunc(values, cmp.Compare)
	at := func(q float64) float64 { return values[min(n-1, int(q*float64(n)))] }
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return &Spread{Count: int64(n), Mean: sum / float64(n), P5: at(.05), P25: at(.25), P50: at(.5), P75: at(.75),
		P95: at(.95), Least: values[0], Most: values[n-1]}
}
