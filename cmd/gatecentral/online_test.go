package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The passphrase comes from the flag's file, else from systemd's credential.
func TestPassphraseOfCredential(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{credentialOnline: "of the credential\n", "file": "of the file"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ flag, dir, want string }{
		{"", dir, "of the credential"}, {filepath.Join(dir, "file"), dir, "of the file"}, {"", "", ""}, {"", t.TempDir(), ""},
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", tc.dir)
		o := onlineFlags{passphrase: tc.flag}
		if got, err := o.ask(""); string(got) != tc.want || (err != nil) != (tc.want == "") {
			t.Errorf("%+v: %q, %v", tc, got, err)
		}
	}
}
