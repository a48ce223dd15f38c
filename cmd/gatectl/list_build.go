package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"gateagent/match/allowlist"
	"gateagent/match/allowlist/manifest"
)

const listBuildHelp = `Build a signed allowlist from CSV files and from the passenger lists of airlines.

Every --in may be of another format; its content tells which, or --format:

  csv     one traveller a line, below
  pnl     PNL and ADL telegrams (IATA Recommended Practice 1708), any number in
          one file, in any order. All parts must be there, and the PNL of each
          ADL: additions, changes and deletions take effect before anybody is
          listed
  paxlst  UN/EDIFACT interchanges with PAXLST messages, as sent to authorities

Passenger lists name neither gates nor windows. --gates says where their
travellers may pass. They may from --opens before the departure until --closes
behind it; a telegram knows only the day of departure, so there the whole day
counts. --plan names a CSV file with flight,day,departs,gates for flights with
times and gates of their own: VN123,2026-03-01,14:30,SGN-G12;SGN-G13 or, without
a day, every day. Times are local: --zone is the airport's zone. With --airport
nobody is listed who boards elsewhere. A traveller is listed under each travel
document that is named completely (issuing state, type, whole number), otherwise
under name, birth date and flight, otherwise not at all.

CSV: the first line names the columns, in any order; UTF-8, commas, and double
quotes around a field that holds a comma:

  issuer   issuing state as in the MRZ: VNM, FRA, D
  type     document type as in the MRZ: ID, P
  number   the complete document number; for Vietnamese identity cards the
           twelve digits of the citizen number, never the nine of the MRZ
           number field, which strangers share. With fillers and check digit,
           as in the MRZ, the digit is checked
  flights  flight numbers with ; between them: VN123;VN124. May be empty
  gates    gates with ; between them: SGN-G12;SGN-G13. * is every gate
  from     when the traveller may first pass: 2026-03-01T14:30:00+07:00; with
  until    --zone also 2026-03-01 14:30 or a whole day, 2026-03-01
           (until is the first moment outside; a whole day is inside)
  flags    allow, refer (staff should see this traveller) or refuse; with
           ;priority behind it for the priority lane

Instead of issuer, type and number a row may have

  signature  SHA-256 of the signature in the document's EF.SOD, 64 hexadecimal
             digits: nobody can guess it, so it is the better key
  name       with birth (1999-08-17): the traveller counts on the row's flights;
             for lists that know no numbers

One document may stand on several rows, for several flights. Where more than
one is open at a gate, refuse goes before refer before allow.

  issuer,type,number,flights,gates,from,until,flags
  VNM,ID,001099000001,VN123,SGN-G12,2026-03-01T12:00:00+07:00,2026-03-01T15:00:00+07:00,allow

Every row that is not taken is reported with its line (of a PAXLST: its
segment) and why, never with its content. Building goes on, and the exit code is 0, unless --strict is given.
Rows that say the same as another are counted and merged.

A generation shares one secret, kept in generation-N.secret beside the signing
key and made when it is absent. Keep it: the same generation cannot go on
without it. It serves 30 days; then begin the next generation. The version must
grow with every list: kiosks refuse whatever is older than what they had.`

// buildFlags are the flags of `gatectl list build`.
type buildFlags struct {
	in, gates                                    []string
	out, key, secret, zone, issued, report, temp string
	format, airport, base, plan                  string
	revoked                                      uint64
	generation                                   uint32
	version                                      uint64
	valid, opens, closes                         time.Duration
	memory                                       int64
	strict, json, specimens                      bool
}

// listBuildCommand is `gatectl list build`.
func listBuildCommand() *cobra.Command {
	var f buildFlags
	cmd := &cobra.Command{
		Use:   "build --in FILE --out DIR [--key signing.key] --generation N --version N",
		Short: "Build a signed allowlist from CSV, PNL, ADL and PAXLST",
		Long:  listBuildHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return buildList(cmd.Context(), f, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.in, "in", nil, "input file; - is standard input; may be given several times")
	fl.StringVar(&f.format, "format", "auto", "format of every input: auto, csv, pnl (ADLs, too) or paxlst")
	fl.StringSliceVar(&f.gates, "gates", nil, "gates for travellers of passenger lists, like SGN-G12,SGN-G13; '*' is every gate")
	fl.StringVar(&f.plan, "plan", "", "CSV file with flight,day,departs,gates for passenger lists")
	fl.DurationVar(&f.opens, "opens", 6*time.Hour, "how long before the departure travellers of passenger lists may pass")
	fl.DurationVar(&f.closes, "closes", 6*time.Hour, "how long behind it, for delays")
	fl.StringVar(&f.airport, "airport", "", "list for one airport, like SGN: who boards elsewhere is left out")
	fl.StringVar(&f.base, "base", "", "folder of the version before, of the same generation: keeps the delta from it small (gatectl list delta)")
	fl.Uint64Var(&f.revoked, "revoked", 0, "number of the newest revocation that the input takes into account (gatectl list revoke)")
	fl.StringVar(&f.out, "out", "", "folder of the list; a list that is there is replaced as a whole")
	fl.StringVar(&f.key, "key", "", "signing key, made by gatectl list keygen; without one the list counts only through the update repository")
	fl.StringVar(&f.secret, "secret", "", "file of the generation's secret (default generation-N.secret beside --key)")
	fl.Uint32Var(&f.generation, "generation", 0, "number of the generation, from 1")
	fl.Uint64Var(&f.version, "version", 0, "number of the list, from 1; grows with every list, across generations too")
	fl.DurationVar(&f.valid, "valid", 72*time.Hour, "how long kiosks may use the list; 720h at most")
	fl.StringVar(&f.issued, "issued", "", "moment of issue like 2026-03-01T08:00:00Z (default now)")
	fl.StringVar(&f.zone, "zone", "", "zone of times without offset, like Asia/Ho_Chi_Minh")
	fl.StringVar(&f.report, "report", "", "write rejected and repeated rows to this CSV file instead of standard error")
	fl.StringVar(&f.temp, "temp", "", "folder for sorting, 40 bytes a row, 80 at worst (default beside --out)")
	fl.Int64Var(&f.memory, "memory", 256, "memory for sorting in MiB")
	fl.BoolVar(&f.strict, "strict", false, "a single rejected row is an error, and no list is written")
	fl.BoolVar(&f.specimens, "specimens", false, "also take documents of ICAO's specimen state UTO")
	fl.BoolVar(&f.json, "json", false, "print the summary as JSON")
	for _, name := range []string{"in", "out", "generation", "version"} {
		cmd.MarkFlagRequired(name)
	}
	return cmd
}

func buildList(ctx context.Context, f buildFlags, stdin io.Reader, stdout, stderr io.Writer) error {
	cfg, zone, err := f.config(stderr)
	if err != nil {
		return err
	}
	if err := refuseOlder(f.out, f.version); err != nil {
		return err
	}
	plan, err := readPlan(f.plan)
	if err != nil {
		return err
	}
	in, err := openInputs(f, stdin, newProgress(stderr))
	if err != nil {
		return err
	}
	defer in.close()
	debug.SetMemoryLimit(memoryBase + cfg.Memory)
	issues, err := newIssueReport(f, in, stderr)
	if err != nil {
		return err
	}
	cfg.Report, cfg.Progress = issues.add, in.progress.show
	if f.base != "" {
		if cfg.Base, err = allowlist.OpenBuilt(f.base); err != nil {
			return errors.Join(fmt.Errorf("--base: %w", err), issues.close())
		}
		defer cfg.Base.Close()
	}
	b, err := allowlist.NewBuilder(ctx, f.out, cfg)
	if err != nil {
		return errors.Join(err, issues.close())
	}
	r := manifest.NewReader(manifest.Options{
		Now: cfg.Issued, Zone: zone, Gates: f.gates, Plan: plan, Opens: f.opens, Closes: f.closes, Airport: f.airport, Note: issues.note,
	}, b)
	issues.reader = r
	sum := buildSummary{Inputs: in.stats}
	if err = in.read(ctx, r, zone, b); err == nil {
		sum.Summary, err = b.Finish(ctx)
	}
	in.progress.end()
	if err = errors.Join(err, b.Close(), issues.close()); err != nil {
		return err
	}
	sum.Notes = issues.notes
	return printSummary(stdout, f, sum)
}

// memoryBase is what building takes at most beside sorting. Go then collects
// garbage sooner instead of taking twice what it needs.
const memoryBase = 3 << 29

// config gathers what the list is built with.
func (f *buildFlags) config(stderr io.Writer) (allowlist.BuildConfig, *time.Location, error) {
	cfg := allowlist.BuildConfig{Version: f.version, Airport: f.airport, Revoked: f.revoked, Specimens: f.specimens, Strict: f.strict, Temp: f.temp, Memory: f.memory << 20}
	if f.memory < 1 || f.memory > 1<<20 {
		return cfg, nil, errors.New("--memory: not between 1 and 1048576 MiB")
	}
	if f.generation == 0 || f.version == 0 {
		return cfg, nil, errors.New("--generation and --version begin at 1")
	}
	cfg.Issued = time.Now()
	if f.issued != "" {
		at, err := time.Parse(time.RFC3339, f.issued)
		if err != nil {
			return cfg, nil, errors.New("--issued: no moment like 2026-03-01T08:00:00Z")
		}
		cfg.Issued = at
	}
	if f.valid <= 0 || f.valid > 720*time.Hour {
		return cfg, nil, errors.New("--valid: not above 0 and at most 720h")
	}
	cfg.Expires = cfg.Issued.Add(f.valid)
	var zone *time.Location
	if f.zone != "" {
		var err error
		if zone, err = time.LoadLocation(f.zone); err != nil {
			return cfg, nil, fmt.Errorf("--zone: %w; give one like Asia/Ho_Chi_Minh", err)
		}
	}
	var err error
	switch {
	case f.key != "":
		if cfg.Key, err = allowlist.ReadSigningKey(f.key); err != nil {
			return cfg, nil, fmt.Errorf("--key: %w", err)
		}
	case f.secret == "":
		return cfg, nil, errors.New("--secret: name the file of the generation's secret, where there is no --key to look beside")
	}
	cfg.Secret, err = f.generationSecret(cfg.Issued, stderr)
	return cfg, zone, err
}

// generationSecret reads the generation's secret or begins the generation.
func (f *buildFlags) generationSecret(began time.Time, stderr io.Writer) (*allowlist.GenerationSecret, error) {
	path := f.secret
	if path == "" {
		path = filepath.Join(filepath.Dir(f.key), fmt.Sprintf("generation-%d.secret", f.generation))
	}
	s, err := allowlist.ReadSecret(path)
	if errors.Is(err, os.ErrNotExist) {
		s = allowlist.NewSecret(f.generation, began)
		if err := s.Write(path); err != nil {
			return nil, err
		}
		fmt.Fprintf(stderr, "generation %d begins: its secret is in %s, keep it for 30 days; gatectl list secret add gives it to kiosks\n", f.generation, path)
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if s.Generation != f.generation {
		return nil, fmt.Errorf("--secret: %s belongs to generation %d, not %d", path, s.Generation, f.generation)
	}
	return s, nil
}

// refuseOlder guards against a version that every kiosk would refuse.
func refuseOlder(dir string, version uint64) error {
	b, err := os.ReadFile(filepath.Join(dir, allowlist.StatementFile))
	if err != nil {
		return nil // nothing there to compare with
	}
	if st, err := allowlist.ParseStatement(b); err == nil && st.Version > version {
		return fmt.Errorf("--version: %s holds version %d already, kiosks would refuse version %d", dir, st.Version, version)
	}
	return nil
}

// buildSummary is what was built, and from what.
type buildSummary struct {
	allowlist.Summary
	Notes  uint64         `json:"notes"`
	Inputs []inputSummary `json:"inputs"`
}

// inputSummary describes one input.
type inputSummary struct {
	File string `json:"file"`
	manifest.Stats
	Rejected uint64 `json:"rejected"`
	Repeated uint64 `json:"repeated"`
}

func printSummary(w io.Writer, f buildFlags, sum buildSummary) error {
	if f.json {
		return printJSON(w, sum)
	}
	for _, in := range sum.Inputs {
		if in.Messages > 0 {
			fmt.Fprintf(w, "%s: %s, %d messages, %d travellers\n", in.File, in.Format, in.Messages, in.Travellers)
		}
	}
	_, err := fmt.Fprintf(w, "%s: generation %d version %d, entries %d, sets %d, bytes %d\nissued %s, expires %s\nroot %s\n%d rows read, %d rejected, %d repeated\n",
		f.out, sum.Generation, sum.Version, sum.Entries, sum.Sets, sum.Bytes,
		sum.Issued.Format(time.RFC3339), sum.Expires.Format(time.RFC3339), sum.Root, sum.Rows, sum.Rejected, sum.Duplicates)
	return err
}
