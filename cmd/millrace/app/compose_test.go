package app_test

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/millrace/millrace/cmd/millrace/app"
)

const composeName = "../../../docker-compose.yml"

// clusterName is laid over composeName.
const clusterName = "../../../docker-compose.cluster.yml"

// composeFiles returns the project on its own, and with the cluster.
func composeFiles(t *testing.T) map[string]*types.Project {
	t.Helper()
	return map[string]*types.Project{
		"one": composeFile(t, composeName), "cluster": composeFile(t, composeName, clusterName),
	}
}

// composeFile returns the project of these files with the values of .env and of no other environment. Keys
// that Compose does not know are errors.
func composeFile(t *testing.T, names ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions(names, cli.WithEnvFiles(), cli.WithDotEnv, cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// servicesOf returns the services of all projects, by the names of both.
func servicesOf(projects map[string]*types.Project) map[string]types.ServiceConfig {
	all := map[string]types.ServiceConfig{}
	for name, project := range projects {
		for service, s := range project.Services {
			all[name+"/"+service] = s
		}
	}
	return all
}

// setsUp says whether the service is a job that writes secrets to files, and makes volumes usable for others.
func setsUp(s *types.ServiceConfig) bool { return strings.HasSuffix(s.Name, "setup") }

// job says whether a service ends by itself.
func job(s types.ServiceConfig) bool { return s.Restart == types.RestartPolicyNo }

func TestComposeConfiguresOnlyWhatMillraceKnows(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, v := range app.Variables() {
		known[v.Name] = true
		if v.Secret != "" {
			known[v.Name+"_FILE"] = true
		}
	}
	checked := 0
	for name, s := range servicesOf(composeFiles(t)) {
		var environ []string
		for key, value := range s.Environment {
			if !strings.HasPrefix(key, app.EnvPrefix) {
				continue
			}
			if checked++; !known[key] {
				t.Errorf("%s: %s is not a variable of Millrace", name, key)
			}
			if value == nil {
				t.Errorf("%s: %s has no value", name, key)
				continue
			}
			if path, ok := strings.CutSuffix(key, "_FILE"); ok && known[path] { // job setup writes it
				key, *value = path, "clickhouse://millrace:secret@clickhouse:9000/millrace"
			}
			environ = append(environ, key+"="+*value)
		}
		cfg, err := app.Load(environ)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if s.Name == "serve" && cfg.CheckHTTP() != nil {
			t.Errorf("%s: %v", name, cfg.CheckHTTP())
		}
	}
	if checked < 10 {
		t.Errorf("only %d variables were checked", checked)
	}
}

func TestComposeServicesAreConfined(t *testing.T) {
	t.Parallel()
	for name, s := range servicesOf(composeFiles(t)) {
		repository, tag, pinned := strings.Cut(s.Image, ":")
		if !pinned || strings.HasPrefix(tag, "latest") {
			t.Errorf("%s: image %s:%s has no pinned tag", name, repository, tag)
		}
		if !s.ReadOnly {
			t.Errorf("%s: set read_only", name)
		}
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 || s.Privileged {
			t.Errorf("%s: drop all capabilities", name)
		}
		if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: set no-new-privileges", name)
		}
		// New volumes belong to root, and job setup makes them usable for the others.
		root := s.User == "root" || strings.HasPrefix(s.User, "0")
		if user := s.User; user == "" || root && !setsUp(&s) {
			t.Errorf("%s: user %q: name one that is not root", name, user)
		}
		if s.Deploy == nil || s.Deploy.Resources.Limits == nil || s.Deploy.Resources.Limits.MemoryBytes <= 0 {
			t.Errorf("%s: limit its memory", name)
		}
		for _, p := range s.Ports {
			if addr, err := netip.ParseAddr(p.HostIP); err != nil || !addr.IsLoopback() {
				t.Errorf("%s: port %s is bound to %q: bind it to 127.0.0.1", name, p.Published, p.HostIP)
			}
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind && !v.ReadOnly {
				t.Errorf("%s: folder %s of the host can be written to", name, v.Source)
			}
			if v.Type != types.VolumeTypeBind && v.Source == "" {
				t.Errorf("%s: name the volume at %s", name, v.Target)
			}
		}
	}
}

func TestComposeServicesStartInOrderAndAreWatched(t *testing.T) {
	t.Parallel()
	for _, project := range composeFiles(t) {
		checkOrder(t, project)
	}
}

func checkOrder(t *testing.T, project *types.Project) {
	t.Helper()
	for name, s := range project.Services {
		// sample is a client: it has no address to ask, and ends if it cannot go on.
		if watched := s.HealthCheck != nil && len(s.HealthCheck.Test) > 0; !watched && !job(s) && name != "sample" {
			t.Errorf("%s: has no health check", name)
		}
		for other, dependency := range s.DependsOn {
			want := types.ServiceConditionHealthy
			if job(project.Services[other]) {
				want = types.ServiceConditionCompletedSuccessfully
			}
			if dependency.Condition != want {
				t.Errorf("%s: depends on %s with %s, want %s", name, other, dependency.Condition, want)
			}
		}
	}
	for _, role := range []string{"ingest", "export", "serve"} {
		for _, other := range []string{"topics", "migrate"} {
			if _, ok := project.Services[role].DependsOn[other]; !ok {
				t.Errorf("%s does not wait for %s", role, other)
			}
		}
	}
}

func TestComposeMarksEveryPasswordToChange(t *testing.T) {
	t.Parallel()
	env, err := os.ReadFile("../../../.env")
	if err != nil {
		t.Fatal(err)
	}
	passwords := 0
	for line := range strings.Lines(string(env)) {
		name, _, assigned := strings.Cut(line, "=")
		if !assigned || strings.HasPrefix(line, "#") {
			continue
		}
		secret := strings.HasSuffix(name, "_PASSWORD") || strings.HasSuffix(name, "_SECRET_KEY")
		if secret {
			passwords++
		}
		if marked := strings.Contains(line, "# CHANGE ME"); marked != secret {
			t.Errorf("%s: marked CHANGE ME: %t, a password: %t", name, marked, secret)
		}
	}
	if passwords == 0 {
		t.Error("there are no passwords in .env")
	}
	for name, s := range servicesOf(composeFiles(t)) {
		for key, value := range s.Environment {
			secret := strings.HasSuffix(key, "PASSWORD") || strings.Contains(key, "SECRET_KEY")
			if secret && value != nil && !setsUp(&s) {
				t.Errorf("%s: %s holds a secret: read it from a file", name, key)
			}
		}
	}
}
