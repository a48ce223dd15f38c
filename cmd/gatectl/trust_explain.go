package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"gateagent/gate"
	"gateagent/match/document"
)

const trustExplainHelp = `Say why one document signer is trusted or not, step by step.

FILE is a document signer's certificate, or an EF.SOD or EF.CardSecurity as it
was read from a chip, in DER or PEM. The steps are those of the report: which
CSCA certificates may have issued the signer, by the key or the name that it
states, and whether its signature verifies under them; whether both are valid
at --at; what revocation lists and defect lists say. The last line gives the
remedy. Nothing personal is in a signer; an EF.SOD names no person either, and
its hashes still belong to one document: delete it when you are done.

The exit status is 0 when the signer is trusted, 1 when it is not.

  gatectl trust explain --dir trust signer.cer
  gatectl trust explain --dir trust --at 2026-11-21T08:00:00Z sod.bin`

func trustExplainCommand() *cobra.Command {
	var dir, at string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain FILE",
		Short: "Say why a document signer is trusted or not",
		Long:  trustExplainHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := explainFile(dir, at, args[0])
			if err != nil {
				return fmt.Errorf("trust explain: %w", err)
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), explainView{e, e.Trusted(), viewsOf(e.Checks)})
			} else {
				err = printExplanation(cmd.OutOrStdout(), e)
			}
			if err == nil && !e.Trusted() {
				err = errors.New("trust explain: not trusted")
			}
			return err
		},
	}
	dirFlag(cmd, &dir)
	atFlag(cmd, &at)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// explainView is what --json prints.
type explainView struct {
	*document.Explanation
	Trusted bool        `json:"trusted"`
	Checks  []checkView `json:"checks"` // in the words of the report
}

type checkView struct {
	ID     string `json:"id"`
	Result string `json:"result"`
	Code   int    `json:"code"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

func viewsOf(checks []gate.Check) []checkView {
	var out []checkView
	for _, c := range checks {
		v := checkView{ID: string(c.ID), Result: c.Result.String(), Code: int(c.Code), Detail: c.Detail}
		if c.Code != 0 {
			v.Remedy = c.Code.Info().Remedy
		}
		out = append(out, v)
	}
	return out
}

func explainFile(dir, at, path string) (*document.Explanation, error) {
	when, err := moment(at)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	trust, err := document.LoadTrust(dir, nil)
	if err != nil {
		return nil, err
	}
	e, err := trust.Explain(gate.TrustedTime{Now: when, Trusted: true}, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

func printExplanation(out io.Writer, e *document.Explanation) error {
	w := bufio.NewWriter(out)
	if e.Signer == nil {
		fmt.Fprintln(w, "signer      not in the file and not in the folder")
	} else {
		s := e.Signer
		fmt.Fprintf(w, "signer      %s %s, serial number %s, %s\n            %s from %s until %s\n            SHA-256 %s\n",
			clean(s.Country), clean(s.Name), s.Serial, s.Key, s.State, days(s.From), days(s.Until), s.SHA256)
		if e.Replaced {
			fmt.Fprintln(w, "            given by a defect list in the place of the document's own")
		}
		fmt.Fprintf(w, "issued by   %s, key %s\n", clean(e.Issuer), orNothing(e.KeyID))
	}
	for _, c := range e.Candidates {
		verdict := "did not sign it: " + c.Why
		if c.Signed {
			verdict = "signed it"
		}
		fmt.Fprintf(w, "candidate   by %s: %s %s, %s, %s until %s, %s\n            %s  %s\n", c.By, clean(c.Country), clean(c.Name), c.Role, c.State, days(c.Until), c.Key, verdict, c.File)
		if c.Reason != "" {
			fmt.Fprintf(w, "            not proven itself: %s\n", c.Reason.Text())
		}
	}
	if e.Signer != nil && len(e.Candidates) == 0 {
		fmt.Fprintln(w, "candidate   none: the folder holds no CSCA of that key or name and country")
	}
	for _, l := range e.CRLs {
		printCRL(w, l)
	}
	for _, d := range e.Defects {
		fmt.Fprintf(w, "defect      %s\n", d)
	}
	for _, c := range viewsOf(e.Checks) {
		fmt.Fprintf(w, "%-14s %s", c.ID, c.Result)
		if c.Code != 0 {
			fmt.Fprintf(w, " (%d: %s)", c.Code, gate.Code(c.Code).Info().Text)
		}
		if c.Detail != "" {
			fmt.Fprintf(w, ", %s", clean(c.Detail))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, conclusion(e))
	return w.Flush()
}

// conclusion is the last line: trusted, or what stands in the way.
func conclusion(e *document.Explanation) string {
	if e.Trusted() {
		return "trusted"
	}
	for _, want := range []gate.Result{gate.Failed, gate.Undetermined} {
		for _, c := range viewsOf(e.Checks) {
			if c.Result == want.String() && c.Code != 0 && (c.ID != string(gate.CheckDSRevocation) || want == gate.Failed) {
				return fmt.Sprintf("not trusted: %s; %s", gate.Code(c.Code).Info().Text, c.Remedy)
			}
		}
	}
	return "not trusted"
}

func orNothing(s string) string {
	if s == "" {
		return "not said"
	}
	return s
}
