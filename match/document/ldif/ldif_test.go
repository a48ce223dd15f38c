package ldif

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gateagent/sim/doc"
)

var writeSeeds = flag.Bool("seeds", false, "write the seeds of the fuzz target to testdata/fuzz")

func collect(in string) (string, error) {
	var out strings.Builder
	err := Read(strings.NewReader(in), []string{"userCertificate", "pkdMasterListContent"}, func(v Value) error {
		fmt.Fprintf(&out, "%d %s %s=%s;", v.Line, v.DN, v.Attribute, v.Data)
		return nil
	})
	return out.String(), err
}

func TestRead(t *testing.T) {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, c := range map[string]struct{ in, want string }{
		"empty":         {"", ""},
		"plain":         {"version: 1\n\ndn: c=VN\nuserCertificate;binary:: " + b64("one") + "\n", "4 c=VN usercertificate=one;"},
		"no last break": {"dn: a\nusercertificate:: " + b64("x"), "2 a usercertificate=x;"},
		"folded":        {"dn: c=\n VN\nuserCertificate;binary:: " + b64("a long one")[:4] + "\n " + b64("a long one")[4:] + "\ncn: b\n", "3 c=VN usercertificate=a long one;"},
		"carriage":      {"dn: a\r\nuserCertificate:: " + b64("x") + "\r\n\r\ndn: b\r\npkdMasterListContent:: " + b64("y") + "\r\n", "2 a usercertificate=x;5 b pkdmasterlistcontent=y;"},
		"comment":       {"# usercertificate:: xx\n yy\ndn: a\nusercertificate:: " + b64("x") + "\n", "4 a usercertificate=x;"},
		"others":        {"dn: a\ncn: b\njpegPhoto:: !!!\nurl:< file:///etc/passwd\n", ""},
		"add":           {"dn: a\nchangetype: add\nusercertificate:: " + b64("x") + "\n", "3 a usercertificate=x;"},
		"delete":        {"dn: a\nchangetype: delete\nusercertificate:: " + b64("x") + "\n\ndn: b\nusercertificate:: " + b64("y") + "\n", "6 b usercertificate=y;"},
		"modify":        {"dn: a\nchangetype: modify\ndelete: usercertificate\nusercertificate:: " + b64("x") + "\n-\nreplace: usercertificate\nusercertificate:: " + b64("y") + "\n-\n", "7 a usercertificate=y;"},
	} {
		if got, err := collect(c.in); err != nil || got != c.want {
			t.Errorf("%s: %q %v, want %q", name, got, err, c.want)
		}
	}
	for name, c := range map[string]struct{ in, want string }{
		"not base64": {"dn: a\n\nusercertificate:: !!\n", "line 3: usercertificate is not in base64"},
		"plain text": {"usercertificate: abc\n", "line 1: usercertificate is not in base64"},
		"reference":  {"usercertificate:< file:///etc/passwd\n", "not in base64"},
		"no colon":   {"dn: a\nnoise\n", "line 2: no attribute"},
		"too long":   {"usercertificate:: " + strings.Repeat("A", maxLine) + "\n", "longer than"},
		"fold bomb":  {"usercertificate:: " + strings.Repeat("\n A", maxLine) + "\n", "longer than"},
		"name":       {strings.Repeat("a", 100) + ": x\n", "name of 100"},
	} {
		if got, err := collect(c.in); err == nil || got != "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q %v, want %q", name, got, err, c.want)
		}
	}
	stop := io.ErrUnexpectedEOF
	if err := Read(strings.NewReader("usercertificate:: YQ==\n"), []string{"userCertificate"}, func(Value) error { return stop }); err == nil {
		t.Error("the error of the callee is lost")
	}
}

// What the simulated directory exports comes out whole.
func TestDirectory(t *testing.T) {
	raw := bytes.Repeat([]byte{1, 2, 3, 250}, 1000)
	for part, attribute := range map[doc.PKDPart]string{doc.PKDSigners: "userCertificate", doc.PKDMasterLists: "pkdMasterListContent", doc.PKDNonconformant: "userCertificate"} {
		n := 0
		err := Read(bytes.NewReader(doc.LDIF(part, doc.PKDEntry{Country: "VN", Raw: raw}, doc.PKDEntry{Country: "DE", Raw: raw})), []string{attribute}, func(v Value) error {
			if n++; !bytes.Equal(v.Data, raw) || !strings.Contains(v.DN, "c=") {
				t.Errorf("part %d: %d bytes of %s", part, len(v.Data), v.DN)
			}
			return nil
		})
		if err != nil || n != 2 {
			t.Errorf("part %d: %d values, %v", part, n, err)
		}
	}
}

// TestSeeds writes the corpus, or checks that it is whole.
func TestSeeds(t *testing.T) {
	for name, b := range map[string][]byte{
		"part1": doc.LDIF(doc.PKDSigners, doc.PKDEntry{Country: "VN", Raw: bytes.Repeat([]byte{0x30}, 100)}, doc.PKDEntry{Country: "VN", CRL: true, Raw: []byte("list")}),
		"part2": doc.LDIF(doc.PKDMasterLists, doc.PKDEntry{Country: "DE", Raw: bytes.Repeat([]byte{0xFF}, 200)}),
		"part3": doc.LDIF(doc.PKDNonconformant, doc.PKDEntry{Country: "FR", Raw: []byte{1}}),
		"delta": []byte("dn: c=VN\r\nchangetype: modify\r\nadd: userCertificate\r\nuserCertificate;binary:: AQID\r\n-\r\n\r\ndn: c=DE\r\nchangetype: delete\r\n"),
	} {
		path := filepath.Join("testdata", "fuzz", "FuzzRead", name)
		if *writeSeeds {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(fmt.Sprintf("go test fuzz v1\nstring(%q)\n", b)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%v: run go test -run TestSeeds -seeds", err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("version: 1\n\ndn: c=VN\nuserCertificate;binary:: b25l\n dHdv\n\ndn:: YQ==\nchangetype: modify\ndelete: x\n-\n")
	f.Fuzz(func(t *testing.T, in string) {
		last := 0
		Read(strings.NewReader(in), []string{"userCertificate"}, func(v Value) error {
			if v.Line <= last || len(v.Data) > len(in) || len(v.DN) > 1024 {
				t.Fatalf("line %d after %d, %d bytes", v.Line, last, len(v.Data))
			}
			last = v.Line
			return nil
		})
	})
}
