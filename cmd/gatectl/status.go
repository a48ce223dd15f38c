package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/gate/wire"
	"gateagent/match/allowlist"
	"gateagent/offline"
	"gateagent/update"
)

// kioskStatus is what `gatectl status --json` prints. A part that cannot be
// read says so in its problem.
type kioskStatus struct {
	At      time.Time          `json:"at"`
	Kiosk   string             `json:"kiosk,omitempty"`
	Until   time.Time          `json:"certificate_until,omitzero"`
	List    listStatus         `json:"list"`
	Secret  secretStatus       `json:"secret"`
	Update  *updateStatus      `json:"update,omitempty"`
	Results []offline.Standing `json:"results"`
	Problem []string           `json:"problems,omitempty"`
}

type listStatus struct {
	Present    bool      `json:"present"`
	Generation uint32    `json:"generation,omitempty"`
	Version    uint64    `json:"version,omitempty"`
	Airport    string    `json:"airport,omitempty"`
	Entries    uint64    `json:"entries,omitempty"`
	Issued     time.Time `json:"issued,omitzero"`
	Expires    time.Time `json:"expires,omitzero"`
	Expired    bool      `json:"expired,omitempty"`
}

// secretStatus says where the key lies that opens the list.
type secretStatus struct {
	Protection string    `json:"protection"`        // "tpm", "credential", "file"
	DiskOpens  bool      `json:"stolen_disk_opens"` // whoever has the disk alone opens the list
	InClear    []string  `json:"in_clear,omitempty"`
	Sent       time.Time `json:"sent,omitzero"` // when central changed what the kiosk got last, beside its bundle
	ByHand     bool      `json:"by_hand,omitempty"`
}

type updateStatus struct {
	As time.Time `json:"as_of"`
	update.Status
}

// statusCommand is `gatectl status`: the whole kiosk in one view.
func statusCommand() *cobra.Command {
	var state string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status --state DIR",
		Short: "On the kiosk: list, who could open it, what was pushed and how old it is, and what waits for central",
		Long: `Reads the state folder; the agent may run. It says what the disk holds, not
whether the agent works: that is on the staff page. Where the disk alone opens
the list, it says which files do.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := os.Stat(state); err != nil {
				return fmt.Errorf("status: %w", err)
			}
			s := readKioskStatus(cmd.Context(), state, time.Now())
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			return s.print(cmd.OutOrStdout())
		},
	}
	kioskState(cmd, &state)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func readKioskStatus(ctx context.Context, state string, now time.Time) *kioskStatus {
	s := &kioskStatus{At: now.UTC().Truncate(time.Second), Results: []offline.Standing{}}
	problem := func(what string, err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.Problem = append(s.Problem, fmt.Sprintf("%s: %v", what, err))
		}
	}
	id, err := wire.LoadIdentity(filepath.Join(state, wire.IdentityFolder))
	if err == nil {
		s.Kiosk, s.Until = id.Name, id.NotAfter().UTC()
	}
	problem("enrolment", err)
	st, err := allowlist.InFolder(filepath.Join(state, "list"))
	if err == nil {
		s.List = listStatus{true, st.Generation, st.Version, st.Airport, st.Entries, st.Issued, st.Expires, !now.Before(st.Expires)}
	}
	problem("list", err)
	s.Secret = readSecretStatus(state)
	u, at, err := update.ReadStatus(filepath.Join(state, updateFolder))
	if err == nil {
		s.Update = &updateStatus{at.UTC(), u}
	}
	problem("updates", err)
	problem("results", offline.ReadFolder(ctx, state, func(one offline.Standing, _ func(uint64, int) ([]wire.Entry, error)) error {
		s.Results = append(s.Results, one)
		return nil
	}))
	return s
}

// readSecretStatus goes by what lies on the disk, whatever the configuration
// says.
func readSecretStatus(state string) secretStatus {
	dir := filepath.Join(state, wire.IdentityFolder)
	s := secretStatus{Protection: "credential"}
	if _, err := os.Lstat(filepath.Join(dir, wire.FileSealTPM)); err == nil {
		s.Protection = "tpm"
	}
	if wire.SealInClear(dir) {
		s.InClear = append(s.InClear, filepath.Join(wire.IdentityFolder, "seal.key"))
	}
	for _, pattern := range []string{filepath.Join("list", "*", allowlist.SecretFile), filepath.Join("incoming", allowlist.SecretFile)} {
		found, _ := filepath.Glob(filepath.Join(state, pattern)) // the pattern is sound
		for _, f := range found {
			s.InClear = append(s.InClear, strings.TrimPrefix(f, state+string(filepath.Separator)))
		}
	}
	if _, err := wire.LoadKioskKeys(dir); errors.Is(err, fs.ErrNotExist) || len(s.InClear) > 0 {
		s.Protection, s.DiskOpens = "file", true
	}
	s.Sent, s.ByHand = wire.SecretsHeld(dir)
	return s
}

func (s *kioskStatus) print(w io.Writer) error {
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-9s "+format+"\n", append([]any{what}, args...)...)
	}
	if s.Kiosk == "" {
		line("kiosk", "not enrolled")
	} else {
		line("kiosk", "%s, certificate until %s", s.Kiosk, s.Until.Format(time.DateOnly))
	}
	switch l := s.List; {
	case !l.Present:
		line("list", "none")
	default:
		word := "expires"
		if l.Expired {
			word = "EXPIRED"
		}
		line("list", "generation %d version %d %s, %d entries, issued %s (%s ago), %s %s", l.Generation, l.Version, l.Airport, l.Entries,
			l.Issued.UTC().Format(time.RFC3339), s.At.Sub(l.Issued).Round(time.Minute), word, l.Expires.UTC().Format(time.RFC3339))
	}
	s.Secret.print(line)
	if s.Update == nil {
		line("updates", "none")
	} else {
		line("updates", "as of %s", s.Update.As.Format(time.RFC3339))
		if err := showUpdate(w, s.Update.Status); err != nil {
			return err
		}
	}
	for _, r := range s.Results {
		if r.Last == r.Acknowledged {
			line("results", "epoch %s: none waits for central", r.Epoch)
			continue
		}
		line("results", "epoch %s: %d wait for central, the oldest since %s", r.Epoch, r.Last-r.Acknowledged, r.Oldest.UTC().Format(time.RFC3339))
	}
	for _, p := range s.Problem {
		line("problem", "%s", p)
	}
	return nil
}

func (s *secretStatus) print(line func(what, format string, args ...any)) {
	switch {
	case s.DiskOpens && len(s.InClear) > 0:
		line("secret", "in a file: A STOLEN DISK OPENS THE LIST (in clear: %s)", strings.Join(s.InClear, ", "))
	case s.DiskOpens:
		line("secret", "in a file: A STOLEN DISK OPENS THE LIST, once there is one; this kiosk has no key of its own")
	case s.Protection == "tpm":
		line("secret", "sealed to a key that the TPM keeps: the disk alone opens no list")
	default:
		line("secret", "sealed to a key in a credential of systemd: the disk opens no list, unless the credential is bound to a host key on it")
	}
	if !s.Sent.IsZero() {
		line("", "central's secrets of %s", s.Sent.UTC().Format(time.RFC3339))
	}
	if s.ByHand {
		line("", "and some that were brought by hand")
	}
}
