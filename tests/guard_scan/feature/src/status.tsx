import { useQuery } from '@tanstack/react-query';

async function load() {
  const response = await fetch('/api/status');
  return response.json();
}

export function Status() {
  const status = useQuery({ queryKey: ['status'], queryFn: load, refetchInterval: 3_000 });
  useEffect(() => {
    const timer = setInterval(() => void load(), 5_000);
    return () => clearInterval(timer);
  }, []);
  return <p>{status.data}</p>;
}
