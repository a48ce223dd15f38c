package update

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"gateagent/gate/wire"
)

// A release is staged when it is for this machine, newer and outside of a
// freeze; otherwise it is refused, and the reason stands on the staff page.
func TestSoftware(t *testing.T) {
	r := newRepo(t)
	k := newKiosk(t, r)
	frozen := false
	s := &Software{Dir: filepath.Join(t.TempDir(), "software"), Kiosk: "sgn-g12", Release: "v1.3-2-gabc", Arch: "amd64",
		Frozen: func(now time.Time) (time.Time, bool) { return now.AddDate(0, 0, 3), frozen }}
	k.byRole[wire.RoleSoftware] = s
	version := uint64(0)
	push := func(release, arch, after string) {
		t.Helper()
		version++
		c := r.custom(wire.KindSoftware, version)
		c.Release, c.Arch, c.After = release, arch, after
		r.roles[wire.RoleSoftware].Signed.Targets = map[string]*metadata.TargetFiles{}
		r.put(wire.RoleSoftware, "software/gateagent-"+release, []byte("release "+release), c)
		r.publish()
		ok(t, k.look(Folder(r.dir)))
	}
	for _, tc := range []struct {
		release, arch, after string
		frozen               bool
		want, notice         string
	}{
		{"v1.2", "amd64", "", false, "", "older than"},
		{"v2.0", "amd64", "v1.4", false, "", "install that first"},
		{"v1.4", "arm64", "", false, "", ""},
		{"v1.3-2-gabc", "amd64", "", false, "", ""},
		{"v1.4", "amd64", "v1.3", true, "", "frozen until"},
		{"v1.4", "amd64", "v1.3", false, "v1.4", ""},
		{"nightly", "amd64", "", false, "v1.4", "no number"},
		{"v1.10.1", "amd64", "", false, "v1.10.1", ""},
	} {
		frozen = tc.frozen
		push(tc.release, tc.arch, tc.after)
		b, _ := os.ReadFile(filepath.Join(s.Dir, StagedFile))
		if got := string(b); (tc.want == "") != (got == "") || tc.want != "" && !strings.Contains(got, `"`+tc.want) {
			t.Errorf("%+v: staged is %s", tc, got)
		}
		text := ""
		for _, n := range k.Notices() {
			text += n.Text
		}
		if (tc.notice == "") != (text == "") || !strings.Contains(text, tc.notice) {
			t.Errorf("%+v: staff see %q", tc, text)
		}
	}
	if b := must[[]byte](t)(os.ReadFile(filepath.Join(s.Dir, "gateagent-v1.10.1"))); string(b) != "release v1.10.1" {
		t.Errorf("staged %q", b)
	}
}
