package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ceremonyShell runs the commands of the page as they stand there: the service's
// user is whoever runs the test, central and the stick lie in the folder of the
// test, and the passphrase is in a file instead of a head. alice has her key in
// a file, all others have theirs in a token under the same name: opening a file
// is slow by design.
const ceremonyShell = `set -eu
export SOFTHSM2_CONF=$PWD/softhsm.conf
softhsm2-util --init-token --free --label gate --so-pin 12345678 --pin "$(cat pass)" >/dev/null
ref() {
	case $1 in
	alice.key) echo "$1" ;;
	*) echo "pkcs11:token=gate;object=${1##*/}?module-path=/usr/lib/softhsm/libsofthsm2.so" ;;
	esac
}
gatectl() {
	new= public= repo= pass= key= n=$#
	[ "$1 $2" != "key new" ] || { new=yes; pass=yes; }
	while [ "$n" -gt 0 ]; do
		a=$1
		case $a in --repo) repo=given ;; *.key) [ -z "$new" ] || { public=$a.pub; key=yes; } ;; esac
		[ -z "$key" ] || a=$(ref "$a")
		key=
		[ "$a" != --key ] || { key=yes; pass=yes; }
		shift
		set -- "$@" "$a"
		n=$((n - 1))
	done
	case $1 in repo|rotate|revoke) [ -n "$repo" ] || set -- "$@" --repo central/repo ;; esac
	[ -z "$pass" ] || set -- "$@" --passphrase-file pass
	[ -z "$public" ] || [ "$public" = alice.key.pub ] || set -- "$@" --public "$public"
	"$BIN/gatectl" "$@"
}

# Nobody sits at a terminal here.
systemd-ask-password() { tr -d '\n' < pass; }
`

// Ops can hold the root ceremony, renew it every year and get over a lost key
// with the commands of the page alone.
func TestCeremonyOnThePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, d := range []string{"central", "stick", "tokens", "credstore"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "pass"), []byte("a passphrase of the test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "softhsm.conf"), []byte("directories.tokendir = "+filepath.Join(dir, "tokens")+"\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	script, n := ceremonyShell, 0
	for _, heading := range []string{"### The first root ceremony", "### Every year, and every 90 days", "### A key is lost or stolen"} {
		_, text, ok := strings.Cut(string(page), "\n"+heading+"\n")
		if !ok {
			t.Fatalf("the page has no section %q", heading)
		}
		text, _, _ = strings.Cut(text, "\n##")
		for line := range strings.Lines(text) {
			if command, ok := strings.CutPrefix(line, "    "); ok {
				script += command
				n++
			}
		}
	}
	script = strings.NewReplacer("sudo -u gatecentral ", "", "/var/lib/gatecentral", "central", "/media/stick", "stick", "/etc/credstore.encrypted", "credstore").Replace(script)
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "BIN="+bin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "credstore", "gatecentral.online")); err != nil {
		t.Errorf("the online key's passphrase is no credential: %v", err)
	}
	if n < 25 {
		t.Errorf("only %d commands were found", n)
	}
	if got := strings.Count(string(out), "every signature, version and target is right"); got != 3 {
		t.Errorf("verified %d times, want 3:\n%s", got, out)
	}
	for _, version := range []string{"root version 1", "root version 2", "root version 3", "root version 4", "airport-SGN version 3"} {
		if !strings.Contains(string(out), "in force   "+version) {
			t.Errorf("%s is not in force:\n%s", version, out)
		}
	}
}
