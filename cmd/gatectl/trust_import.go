package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"gateagent/match/document"
)

const trustImportHelp = `Take certificates, revocation lists, master lists and defect lists into a trust
folder.

  .cer .der .pem .crt   a CSCA certificate named here becomes an anchor: compare
                        its SHA-256 with what its state says, by another way,
                        before you import it. Link certificates are taken when
                        an anchor proves them
  .ml                   taken when --signer names the list's signer, or the CSCA
                        of that signer, and the signature verifies; one that is
                        older than the publisher's last is refused
  .crl                  taken when a CSCA at hand signed it; an older list of
                        the same issuer that says no more is removed
  .dl .dfl              defect lists: taken when their signer is one under a
                        CSCA at hand
  .ldif                 exports of the ICAO directory: part 001 (document
                        signers and revocation lists), part 002 (master lists),
                        part 003 (what does not conform)

Kinds are told by content, so names may differ; only .ldif goes by its name.
Document signers are left out, because documents carry theirs;
--document-signers takes them for documents that do not.

A bare master list without a signature is refused. If you have compared its
SHA-256 with its publisher's by another way, --content-sha256 takes its
certificates one by one.

Import again what you like: what is there is known. Each line says what became
of one object; refused ones say why. The exit status is 1 when anything was
refused, unless --lenient is given, which suits whole directories.

  gatectl trust import --dir trust --dry-run *.cer
  gatectl trust import --dir trust --signer csca-de.cer --replace DE_ML.ml
  gatectl trust import --dir trust --lenient --signer csca-de.cer \
      icaopkd-002-complete.ldif icaopkd-001-complete.ldif`

// trustImportFlags are the flags of `gatectl trust import`.
type trustImportFlags struct {
	dir, content                                    string
	signers                                         []string
	documentSigners, replace, dryRun, json, lenient bool
	quiet                                           bool
}

func trustImportCommand() *cobra.Command {
	var f trustImportFlags
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Take files into a trust folder",
		Long:  trustImportHelp,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.run(cmd.Context(), args, cmd.OutOrStdout(), cmd.ErrOrStderr()); err != nil {
				return fmt.Errorf("trust import: %w", err)
			}
			return nil
		},
	}
	fl := cmd.Flags()
	dirFlag(cmd, &f.dir)
	fl.StringArrayVar(&f.signers, "signer", nil, "`certificate` that signs master lists, or its CSCA's; may be given again")
	fl.StringVar(&f.content, "content-sha256", "", "`hash` of a bare master list that you have compared by another way")
	fl.BoolVar(&f.documentSigners, "document-signers", false, "take document signers too")
	fl.BoolVar(&f.replace, "replace", false, "remove older master lists of the same publisher")
	fl.BoolVar(&f.dryRun, "dry-run", false, "say what would be done and write nothing")
	fl.BoolVar(&f.lenient, "lenient", false, "refused objects are no error")
	fl.BoolVar(&f.quiet, "quiet", false, "print only refused objects and the summary")
	fl.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (f *trustImportFlags) run(ctx context.Context, files []string, stdout, stderr io.Writer) error {
	cfg := document.ImportConfig{
		Dir: f.dir, Content: f.content, DocumentSigners: f.documentSigners, Replace: f.replace, DryRun: f.dryRun,
	}
	for _, path := range f.signers {
		c, err := readCertificate(path)
		if err != nil {
			return fmt.Errorf("--signer: %w", err)
		}
		cfg.Signers = append(cfg.Signers, c)
	}
	progress := newProgress(stderr)
	cfg.Progress = func(phase string, done, total int) { progress.show(phase, uint64(done), uint64(total)) }
	im, err := document.NewImporter(cfg)
	if err != nil {
		return err
	}
	for _, path := range files {
		if err := readInto(im, path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	items, err := im.Finish(ctx)
	if err != nil {
		return err
	}
	if f.json {
		err = printJSON(stdout, map[string]any{"dry_run": f.dryRun, "items": items})
	} else {
		err = f.print(stdout, items)
	}
	if err != nil {
		return err
	}
	if n := count(items)[document.Refused]; n > 0 && !f.lenient {
		return fmt.Errorf("%d refused; each line above says why", n)
	}
	return nil
}

func readInto(im *document.Importer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if st, err := file.Stat(); err == nil && st.IsDir() {
		return errors.New("is a folder: name the files in it")
	}
	return im.Read(path, file)
}

func count(items []document.ImportItem) map[document.Outcome]int {
	out := map[document.Outcome]int{}
	for _, i := range items {
		out[i.Outcome]++
	}
	return out
}

func (f *trustImportFlags) print(out io.Writer, items []document.ImportItem) error {
	w := bufio.NewWriter(out)
	for _, i := range items {
		if i.Outcome == document.Skipped || f.quiet && i.Outcome != document.Refused {
			continue
		}
		fmt.Fprintf(w, "%-7s %-10s %-2s %s", i.Outcome, i.Kind, clean(i.Country), clean(i.Name))
		switch {
		case i.Outcome == document.Refused:
			fmt.Fprintf(w, "  (%s)\n        %s: %s\n", i.Source, i.Reason.Text(), clean(i.Detail))
			continue
		case i.Outcome == document.Added && i.Kind == "csca":
			fmt.Fprintf(w, "\n        anchor, SHA-256 %s", i.SHA256)
		case i.Detail != "":
			fmt.Fprintf(w, ", %s", clean(i.Detail))
		case i.Reason != "":
			fmt.Fprintf(w, ", %s", i.Reason.Text())
		}
		fmt.Fprintln(w)
	}
	n := count(items)
	would := ""
	if f.dryRun {
		would = " (dry run: nothing was written)"
	}
	fmt.Fprintf(w, "%d added, %d known, %d removed, %d refused, %d document signers left out%s\n",
		n[document.Added], n[document.Known], n[document.Replaced], n[document.Refused], n[document.Skipped], would)
	return w.Flush()
}
