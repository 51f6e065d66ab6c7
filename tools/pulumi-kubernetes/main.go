// Pulumi's Kubernetes provider. The main of its published module embeds two files that are generated and that the module lacks: shorter
// forms of the two that are embedded here, which the module has beside its main.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var mapping []byte

var version string // set when it is linked

func main() {
	provider.Serve("kubernetes", version, schema, mapping)
}
