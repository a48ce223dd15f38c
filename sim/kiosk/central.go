package kiosk

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Central is the central service with its own broker, as a child process. Its
// addresses stay the same over a restart.
type Central struct {
	bin, dir     string
	broker, http string // addresses
	updates      string // address where kiosks fetch, with a repository
	repo         *Repository
	program      *Program
	client       *http.Client
	token        string
}

// NewCentral starts central with its state in dir and waits until it is
// ready. bin is the folder of the programs. repo is what it keeps and serves;
// nil: nothing.
func NewCentral(ctx context.Context, bin, dir string, repo *Repository) (*Central, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	c := &Central{bin: bin, dir: dir, broker: ports[0], http: ports[1], updates: ports[2], repo: repo}
	if err := c.Start(ctx); err != nil {
		return c, err
	}
	return c, c.connect()
}

// freePorts finds loopback addresses below the range that the system hands out
// to outgoing connections, so that they stay free over a restart.
func freePorts(n int) ([]string, error) {
	var out []string
	for try := 0; len(out) < n; try++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(22000)))
		if err == nil {
			defer l.Close() // all at the end, so that they differ
			out = append(out, l.Addr().String())
		} else if try > 100 {
			return nil, fmt.Errorf("no free loopback port: %w", err)
		}
	}
	return out, nil
}

// Start starts a stopped central again and waits until it is ready.
func (c *Central) Start(ctx context.Context) error {
	args := []string{filepath.Join(c.bin, "gatecentral"), "run", "--state", c.dir, "--mqtt", c.broker, "--http", c.http}
	if c.repo != nil {
		args = append(args, c.repo.Keep(c.updates)...)
	}
	p, err := Start(Command{Name: "gatecentral", LogFile: c.dir + ".log", Args: args})
	if err != nil {
		return err
	}
	c.program = p
	_, err = p.AwaitLine(ctx, "ready")
	return err
}

// Stop ends central politely.
func (c *Central) Stop() error { return c.program.Stop() }

// Kill ends central at once.
func (c *Central) Kill() { c.program.Kill() }

// Dir is central's state folder.
func (c *Central) Dir() string { return c.dir }

// Mirror is the address from which kiosks take the repository.
func (c *Central) Mirror() string { return Mirror(c.updates) }

// Program is the running process.
func (c *Central) Program() *Program { return c.program }

// connect makes the client of a tool of the operator: CA and token lie in the
// state folder.
func (c *Central) connect() error {
	root, err := os.ReadFile(filepath.Join(c.dir, "ca", "ca.pem"))
	if err != nil {
		return err
	}
	token, err := os.ReadFile(filepath.Join(c.dir, "api.token"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	c.token = strings.TrimSpace(string(token))
	c.client = &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}},
	}
	return nil
}

// Get asks central's interface for tools.
func (c *Central) Get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.http+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("central: %s: %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// Stored is one result that central holds.
type Stored struct {
	Epoch  string          `json:"epoch"`
	Number uint64          `json:"number"`
	Record json.RawMessage `json:"record"`
}

// Results gives everything that central holds of a kiosk, oldest first.
func (c *Central) Results(ctx context.Context, kiosk string) ([]Stored, error) {
	var all []Stored
	for after := int64(0); ; {
		var page struct {
			Results []Stored `json:"results"`
			Next    int64    `json:"next"`
		}
		path := "/api/results.json?kiosk=" + url.QueryEscape(kiosk) + "&after=" + strconv.FormatInt(after, 10)
		if err := c.Get(ctx, path, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Results...)
		if page.Next == 0 {
			return all, nil
		}
		after = page.Next
	}
}

// Standing is how central sees one kiosk.
type Standing struct {
	Kiosk     string `json:"kiosk"`
	State     string `json:"state"` // present, silent, absent, unseen, revoked
	Conflicts int    `json:"conflicts"`
}

// Fleet gives how central sees a kiosk, and its alarms about it.
func (c *Central) Fleet(ctx context.Context, kiosk string) (Standing, []string, error) {
	var answer struct {
		Kiosks []Standing `json:"kiosks"`
		Alarms []struct{ Kiosk, Kind, Text string }
	}
	if err := c.Get(ctx, "/api/kiosks.json", &answer); err != nil {
		return Standing{}, nil, err
	}
	var alarms []string
	for _, a := range answer.Alarms {
		if a.Kiosk == kiosk {
			alarms = append(alarms, a.Kind+": "+a.Text)
		}
	}
	for _, k := range answer.Kiosks {
		if k.Kiosk == kiosk {
			return k, alarms, nil
		}
	}
	return Standing{}, alarms, fmt.Errorf("central does not know kiosk %s", kiosk)
}
