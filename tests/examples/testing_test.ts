/** The example of a test, run as one. */
import "../../examples/testing_test.ts";
