"""How students of foreign networks are born: adapters on a shared base, copies, smaller copies."""
