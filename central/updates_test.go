package central_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"gateagent/central"
	"gateagent/central/repo"
	"gateagent/central/repo/repotest"
	"gateagent/gate/wire"
)

// kept starts a central with an update repository, and lets the repository go
// so that both work on it in turn.
func kept(t *testing.T, dir, broker string) (*centre, *repotest.Fixture) {
	t.Helper()
	f := repotest.New(t, time.Now(), "SGN")
	if err := f.Repo.Close(); err != nil {
		t.Fatal(err)
	}
	conf := config(dir, broker)
	conf.Updates = central.Updates{Dir: f.Dir, Addr: "127.0.0.1:0", Keys: f.Online()}
	c := launchWith(t, conf)
	eventually(t, "central connects to its broker", c.Connected)
	return c, f
}

// change works on the repository as a command does.
func change(t *testing.T, f *repotest.Fixture, do func(*repo.Repo) error) {
	t.Helper()
	r, err := repo.Open(t.Context(), f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := do(r); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func publishList(t *testing.T, f *repotest.Fixture, version uint64) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	change(t, f, func(r *repo.Repo) error {
		err := r.Add(wire.ListPath("SGN"), &wire.Target{Kind: wire.KindList, Version: version, Generation: 1, Issued: now, Expires: now.Add(time.Hour)},
			bytes.NewReader([]byte("statement")), now)
		if err != nil {
			return err
		}
		_, err = r.Sign(f.Signers("airport-SGN")...)
		return err
	})
}

// What people have signed is in force and known to every kiosk within a
// second, and to one that comes later.
func TestKioskHearsOfWhatIsNew(t *testing.T) {
	t.Parallel()
	hears := func(t *testing.T, k *kiosk) chan []byte {
		stamps := make(chan []byte, 64)
		if err := settled(k.conn.Subscribe(wire.TopicTimestamp, 0, func(_ mqtt.Client, m mqtt.Message) { stamps <- m.Payload() })); err != nil {
			t.Fatal(err)
		}
		return stamps
	}
	test := func(t *testing.T, c *centre, f *repotest.Fixture, broker string) {
		k := enrolKiosk(t, c.reg, "k1", broker).connect(t)
		stamps := hears(t, k)
		stamp := func() []byte {
			select {
			case s := <-stamps:
				return s
			case <-time.After(soon):
				t.Fatal("no timestamp came")
				return nil
			}
		}
		first := stamp()
		if !bytes.Equal(first, f.Read(wire.MetadataFile(wire.RoleTimestamp, 0))) {
			t.Error("the first timestamp is not the one in force")
		}
		publishList(t, f, 1)
		second := stamp()
		if bytes.Equal(first, second) || !bytes.Equal(second, f.Read(wire.MetadataFile(wire.RoleTimestamp, 0))) {
			t.Error("the second timestamp is not the one in force")
		}
		if v := central.Signed(c.Service); v < 2 || !bytes.Contains(second, fmt.Appendf(nil, `"version":%d`, v)) {
			t.Errorf("central says that it signed version %d; in force: %s", v, second)
		}
		if got := f.Read(wire.MetadataFile("airport-SGN", 2)); !bytes.Contains(got, []byte("lists/SGN/statement")) {
			t.Errorf("in force: %s", got)
		}
		late := enrolKiosk(t, c.reg, "k2", broker).connect(t)
		select {
		case s := <-hears(t, late):
			if !bytes.Equal(s, second) {
				t.Error("who comes late hears of an older timestamp")
			}
		case <-time.After(soon):
			t.Error("who comes late hears of nothing")
		}
		if err := settled(k.conn.Publish(wire.TopicTimestamp, 0, true, []byte("forged"))); err != nil {
			t.Log("the broker cut off a kiosk that publishes as central:", err)
		}
		publishList(t, f, 2)
		for s := range hears(t, enrolKiosk(t, c.reg, "k3", broker).connect(t)) {
			if bytes.Equal(s, []byte("forged")) {
				t.Fatal("a kiosk spoke for central")
			}
			if bytes.Equal(s, f.Read(wire.MetadataFile(wire.RoleTimestamp, 0))) && !bytes.Equal(s, second) {
				return
			}
		}
	}
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		c, f := kept(t, t.TempDir(), "")
		test(t, c, f, c.Ready().Broker)
	})
	t.Run("mosquitto", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		broker := mosquitto(t, registry(t, dir))
		c, f := kept(t, dir, broker)
		test(t, c, f, broker)
	})
}

func fetch(t *testing.T, url string, conf *tls.Config, header ...string) (int, string, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}, Timeout: soon}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(q)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

func TestRepositoryIsServedToKiosks(t *testing.T) {
	t.Parallel()
	c, f := kept(t, t.TempDir(), "")
	publishList(t, f, 1)
	eventually(t, "the list is in force", func() bool {
		_, err := os.Stat(filepath.Join(f.Dir, wire.MetadataFile("airport-SGN", 2)))
		return err == nil
	})
	k := enrolKiosk(t, c.reg, "k1", c.Ready().Broker)
	base := c.Ready().Repo + "/"
	found, err := filepath.Glob(filepath.Join(f.Dir, "targets/lists/SGN/*.statement"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	target := "targets/lists/SGN/" + filepath.Base(found[0])
	for name, want := range map[string]int{
		"metadata/timestamp.json": 200, "metadata/1.root.json": 200, target: 200,
		"metadata/2.root.json": 404, "metadata/": 404, "pending/airport-SGN.json": 404, "lock": 404, "": 404,
		"metadata/../lock": 404, "targets/lists/SGN/.tmp-1": 404, "metadata//timestamp.json": 404,
	} {
		code, body, err := fetch(t, base+name, k.id.TLS("127.0.0.1"))
		if err != nil || code != want || want == 200 && body != string(f.Read(name)) {
			t.Errorf("%q: %d, %v", name, code, err)
		}
	}
	code, body, err := fetch(t, base+target, k.id.TLS("127.0.0.1"), "Range", "bytes=4-", "If-Range", fmt.Sprintf("%q", filepath.Base(found[0])))
	if err != nil || code != http.StatusPartialContent || body != "ement" {
		t.Errorf("a part: %d %q %v", code, body, err)
	}
	stranger := k.id.TLS("127.0.0.1")
	stranger.Certificates, stranger.GetClientCertificate = nil, nil
	if code, _, err := fetch(t, base+target, stranger); err == nil {
		t.Errorf("without a certificate: %d", code)
	}
	if err := c.reg.Revoke(t.Context(), "k1", "stolen", time.Now()); err != nil {
		t.Fatal(err)
	}
	if code, _, err := fetch(t, base+target, k.id.TLS("127.0.0.1")); err != nil || code != http.StatusForbidden {
		t.Errorf("with a revoked certificate: %d, %v", code, err)
	}
}

// Central says on its page what needs people.
func TestRepositoryThatNobodyRenews(t *testing.T) {
	t.Parallel()
	f := repotest.New(t, time.Now().Add(-80*24*time.Hour))
	if err := f.Repo.Close(); err != nil {
		t.Fatal(err)
	}
	conf := config(t.TempDir(), "")
	conf.Updates = central.Updates{Dir: f.Dir}
	c := launchWith(t, conf)
	eventually(t, "both are said", func() bool {
		all := central.Health(c.Service)
		return contains(all, "is not renewed") && contains(all, "role targets ends on")
	})
}

func contains(all []string, part string) bool {
	return slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, part) })
}
