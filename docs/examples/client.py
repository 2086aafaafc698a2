"""Ask a page from a script: which models, one steered answer, the same on a twin's thoughts."""

import sys

from gradio_client import Client

TWINS = (
    "Mia has 3 boxes. Each box holds 4 pencils. How many pencils are there?",
    "Mia has 3 boxes. Each box holds 5 pencils. How many pencils are there?",
)


def main(address: str) -> None:
    client = Client(address, verbose=False)
    model = client.predict(api_name="/models")[0]["name"]
    steered = client.predict(model, TWINS[0], alpha=2.0, api_name="/decode")
    print(model, steered["baseline_answer"], "->", steered["answer"])
    swapped = client.predict(model, *TWINS, api_name="/swap")
    print(swapped["own_answer"], "on the thoughts of", swapped["donor_answer"], end=": ")
    print(swapped["answer"])
    seen = client.predict(model, TWINS[0], api_name="/lens")
    print("last layer says:", *(row[-1][0] for row in seen["top_tokens"]))
    rows = client.predict(model, alphas=[-3.0, 3.0], api_name="/sweep")
    print(*(f"{row['alpha']:g}: {row['correct']}/{row['n']}" for row in rows), sep=", ")


if __name__ == "__main__":
    main(sys.argv[1])
