"""The nouns: frozen values of scalars, strings and tuples, validated at birth; standard library only."""
