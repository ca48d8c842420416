package local_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/millrace/millrace/pipeline/local"
)

// Some tests kill the parent of a server. They run this executable again as that parent, which is
// called the helper.

const helperVariable = "MILLRACE_LOCAL_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperVariable+"_KIND") != "" {
		go func() { // ends the helper when its test ends
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
	}
	var err error
	switch config := []byte(os.Getenv(helperVariable)); os.Getenv(helperVariable + "_KIND") {
	case "":
		os.Exit(m.Run())
	case "clickhouse":
		err = helpClickHouse(config)
	case "kafka":
		err = helpKafka(config)
	}
	fmt.Fprintln(os.Stderr, "helper:", err)
	os.Exit(1)
}

// parent is a helper process.
type parent struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

// startParent runs a helper of a kind on its configuration. It ends with the
// test, by SIGKILL.
func startParent(t testing.TB, kind string, config any) *parent {
	t.Helper()
	body, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperVariable+"_KIND="+kind, helperVariable+"="+string(body))
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &parent{cmd: cmd, out: bufio.NewScanner(out)}
	t.Cleanup(p.kill)
	return p
}

// line returns the next line that the helper prints.
func (p *parent) line(t testing.TB) string {
	t.Helper()
	if !p.out.Scan() {
		t.Fatal("the helper ended: ", p.out.Err())
	}
	return p.out.Text()
}

// kill ends the helper as kill -9 does. It may be called again.
func (p *parent) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// clickHouseUp is what helpClickHouse prints when its server answers.
type clickHouseUp struct {
	Pid  int
	Dir  string
	DSN  string
	HTTP string // with the password
}

func helpClickHouse(config []byte) error {
	var cfg local.ClickHouseConfig
	if err := json.Unmarshal(config, &cfg); err != nil {
		return err
	}
	c, err := local.NewClickHouse(cfg)
	if err != nil {
		return err
	}
	ctx := context.Background()
	go func() {
		if err := c.WaitReady(ctx); err == nil {
			_ = json.NewEncoder(os.Stdout).Encode(clickHouseUp{c.Pid(), c.Dir(), c.DSN("default"), c.HTTPURL()})
		}
	}()
	return c.Run(ctx)
}

func helpKafka(config []byte) error {
	var cfg local.KafkaConfig
	if err := json.Unmarshal(config, &cfg); err != nil {
		return err
	}
	k, err := local.NewKafka(cfg)
	if err != nil {
		return err
	}
	fmt.Println(k.Addr())
	return k.Run(context.Background())
}
